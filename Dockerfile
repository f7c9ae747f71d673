# One image holds every program; a container's command says which one runs: /manager, /scim-webhook or /portal.
# Static programs on distroless: no shell, no package manager, not root, and nothing that needs a writable file system
# (the portal's SQLite file goes to a volume).
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY api/ api/
COPY cmd/ cmd/
COPY controllers/ controllers/
COPY internal/ internal/
ARG TARGETOS=linux TARGETARCH=amd64 VERSION=
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -buildvcs=false -ldflags="-s -w -X lightrun.com/scim-operator/internal/kernel/version.stamped=$VERSION" -o /out/ ./cmd/manager ./cmd/scim-webhook ./cmd/portal

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/ /
USER 65532:65532
ENTRYPOINT ["/manager"]
