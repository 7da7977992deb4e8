FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml LICENSE ./
COPY config config
COPY protocols protocols
COPY tts tts
COPY gateway gateway
RUN python -m venv /opt/gateway && /opt/gateway/bin/pip install --no-cache-dir .

FROM python:3.13-slim
# initdb asks the system for the name of its user, so the user must have one.
RUN useradd --system --uid 10001 --user-group --home-dir /var/lib/sms-voice-gateway --create-home \
    --shell /usr/sbin/nologin gateway
COPY --from=build /opt/gateway /opt/gateway
ENV PATH=/opt/gateway/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    GATEWAY__STORE__DATA_DIR=/var/lib/sms-voice-gateway/data
USER gateway
VOLUME /var/lib/sms-voice-gateway
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=15s CMD ["gateway", "health"]
# Inside a container 127.0.0.1 reaches nobody: publish the API with
#   -e GATEWAY__HTTP__LISTEN=0.0.0.0:8080 and either -e GATEWAY__HTTP__BEHIND_PROXY=true or TLS files.
ENTRYPOINT ["gateway"]
CMD ["serve"]
