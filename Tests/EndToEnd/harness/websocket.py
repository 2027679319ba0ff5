"""A WebSocket server that we did not write, in a thread of its own."""

import asyncio
import logging
import threading

from websockets.asyncio.server import serve


async def echo(socket):
    async for message in socket:
        await socket.send(message)


class WebSocketApp:
    """`handler` is a coroutine over one connection; options are those of `serve`."""

    def __init__(self, handler=echo, **options):
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        # Peers that break off are what the tests are about, and nothing to print.
        logger = logging.getLogger("mesh-e2e-websocket")
        logger.addHandler(logging.NullHandler())
        logger.propagate = False
        self._server = self._run(self._serve(handler, {"logger": logger, **options}))
        self.port = self._server.sockets[0].getsockname()[1]

    @staticmethod
    async def _serve(handler, options):
        # Where the queue is full, the kernel drops who connects, and proxies give up after a second.
        return await serve(handler, "127.0.0.1", 0, backlog=1024, **options)

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(20)

    def stop(self):
        async def close():
            self._server.close()
            for connection in list(self._server.connections):
                connection.transport.abort()
            await self._server.wait_closed()
        self._run(close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(20)
        self._loop.close()
