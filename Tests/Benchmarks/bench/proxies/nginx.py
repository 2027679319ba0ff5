"""nginx. Its only HTTP/2 upstream is grpc_pass (S4), which multiplexes nothing; so no S3, no S5h2."""

from __future__ import annotations

from ..certificates import CIPHER_SUITE
from .proxy import Proxy, Seat, find_program, first_line, user_name


class Nginx(Proxy):
    name = "nginx"
    scenarios = ("S1", "S2", "S4", "S5h1", "S6h1", "S6h2", "S7")

    def version(self) -> str:
        return first_line(find_program("nginx", "nginx"), "-v").split(": ")[-1]

    def command(self, seat: Seat) -> list[str]:
        d = seat.directory
        (d / "nginx.conf").write_text(f"""
daemon off;
user {user_name()};
pid {d}/pid;
worker_processes 1;
error_log stderr crit;
events {{ worker_connections {seat.connections_max}; }}
http {{
    access_log off;
    keepalive_timeout 3600s;
    keepalive_requests 1000000000;
    http2_max_concurrent_streams 1000;
    client_body_temp_path {d}/body;
    proxy_temp_path {d}/proxy;
    fastcgi_temp_path {d}/fastcgi;
    uwsgi_temp_path {d}/uwsgi;
    scgi_temp_path {d}/scgi;
    # Large answers stay in memory; by default they would go through a file.
    proxy_max_temp_file_size 0;
    proxy_buffer_size 16k;
    proxy_buffers 16 32k;
    proxy_busy_buffers_size 128k;
    upstream backend {{
        server 127.0.0.1:{seat.upstream_port};
        keepalive 512;
        keepalive_timeout 3600s;
        keepalive_requests 1000000000;
    }}
    server {{
        {_listen(seat)}
        location / {{
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            {_pass(seat)}
        }}
    }}
}}
""")
        return [find_program("nginx", "nginx"), "-e", "stderr", "-p", str(d),
                "-c", str(d / "nginx.conf")]


def _listen(seat: Seat) -> str:
    words = {"h1": "", "h2": " http2", "h1tls": " ssl http2", "h2tls": " ssl http2"}[seat.listen]
    line = f"listen 127.0.0.1:{seat.listen_port}{words} backlog=4096;"
    if not seat.listen.endswith("tls"):
        return line
    return f"""{line}
        ssl_certificate {seat.own.certificate};
        ssl_certificate_key {seat.own.key};
        ssl_client_certificate {seat.own.issuer};
        ssl_verify_client on;
        ssl_protocols TLSv1.3;
        ssl_conf_command Ciphersuites {CIPHER_SUITE};"""


def _pass(seat: Seat) -> str:
    word = "grpc" if seat.upstream.startswith("h2") else "proxy"
    is_mutual = seat.upstream.endswith("tls")
    scheme = {"grpc": ("grpc", "grpcs"), "proxy": ("http", "https")}[word][is_mutual]
    line = f"{word}_pass {scheme}://backend;"
    if not is_mutual:
        return line
    return f"""{line}
            {word}_ssl_certificate {seat.own.certificate};
            {word}_ssl_certificate_key {seat.own.key};
            {word}_ssl_trusted_certificate {seat.own.issuer};
            {word}_ssl_verify on;
            {word}_ssl_name {seat.peer.name};
            {word}_ssl_server_name on;
            {word}_ssl_protocols TLSv1.3;
            {word}_ssl_conf_command Ciphersuites {CIPHER_SUITE};"""
