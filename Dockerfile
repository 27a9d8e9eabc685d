# syntax=docker/dockerfile:1
# Sallyport in a container, for linux/amd64 and linux/arm64:
#
#   docker buildx build --platform linux/amd64,linux/arm64 -t sallyport .
#   docker run --read-only --cap-drop ALL --security-opt no-new-privileges --stop-timeout 40 -p 2222:2222 \
#     -v ./config:/etc/sallyport:ro -v sallyport-state:/var/lib/sallyport sallyport
#
# ./config has sallyport.yaml with `stateDir: /var/lib/sallyport`, and the key files that it names, readable by user 10001.

ARG NODE_VERSION=24

# JavaScript is the same on every machine: compiled where the build runs, without the tests.
FROM --platform=$BUILDPLATFORM node:${NODE_VERSION}-bookworm AS build
WORKDIR /src
COPY package.json package-lock.json tsconfig.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY src ./src
RUN npm run build

# What it stands on is of one machine's kind: ssh2's native binding is compiled here, where a compiler is.
FROM node:${NODE_VERSION}-bookworm AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund && npm rebuild ssh2 --foreground-scripts

FROM node:${NODE_VERSION}-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY --from=build /src/build/src ./build/src
COPY package.json LICENSE ./
COPY contrib/docker/healthcheck.mjs ./healthcheck.mjs
# Nobody of the host, and not root; the files of the program are not its own.
RUN install -d -m 0700 -o 10001 -g 10001 /var/lib/sallyport && ln -s /app/build/src/cli/main.js /usr/local/bin/sallyport
USER 10001:10001
VOLUME /var/lib/sallyport
EXPOSE 2222
STOPSIGNAL SIGTERM
# From loopback, which has no penalties. A worker answers: the whole way of a connection is alive.
HEALTHCHECK --interval=30s --timeout=5s --start-period=15s --retries=3 CMD ["node", "/app/healthcheck.mjs"]
# Without a shell in between, which would keep the signals.
ENTRYPOINT ["node", "/app/build/src/cli/main.js"]
CMD ["serve", "--config", "/etc/sallyport/sallyport.yaml"]
