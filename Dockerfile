# The gateway alone: its stores are in docker-compose.yml.
FROM node:24-slim AS build
WORKDIR /build
COPY package.json package-lock.json tsconfig.json tsconfig.build.json ./
COPY scripts/ scripts/
# The image has its Node: the package `node`, which pins it elsewhere, stays out.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY src/ src/
COPY migrations/ migrations/
RUN node scripts/build.ts && npm prune --omit=dev --ignore-scripts && rm -rf node_modules/node

FROM node:24-slim
ENV NODE_ENV=production HOST=0.0.0.0 PORT=8080
WORKDIR /app
COPY --from=build /build/package.json /app/
COPY --from=build /build/node_modules/ /app/node_modules/
COPY --from=build /build/migrations/ /app/migrations/
COPY --from=build /build/dist/ /app/dist/
# Where quickstart keeps its data, and where farebox.yaml is looked for by a relative path.
RUN mkdir /data && chown node:node /data
WORKDIR /data
USER node
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/healthz`).then((r)=>process.exit(r.ok?0:1),()=>process.exit(1))"]
# Not a shell: signals must reach the gateway, which finishes its streams.
ENTRYPOINT ["node", "/app/dist/main.js"]
CMD ["serve"]
