# One image contains every program. The command of a container selects one: /manager, /scim-webhook or /portal.
# Static programs on distroless: no shell, no package manager, no root. Only the portal's SQLite file needs a writable
# volume.
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
