# escape=`
FROM mcr.microsoft.com/windows/servercore:ltsc2022
RUN dir C:\
RUN echo one `
 two
COPY --from=mcr.microsoft.com/powershell:7.4 C:\ C:\
