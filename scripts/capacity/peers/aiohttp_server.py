"""The WebSocket of `aiohttp` with its defaults, and nothing but JSON behind it."""

import sys

from aiohttp import WSMsgType, web
from answers import answer


async def on_connect(request):
    """Serve one charging point."""
    socket = web.WebSocketResponse(protocols=["ocpp1.6"])
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(answer(message.data))
    return socket


application = web.Application()
application.router.add_get("/{identity}", on_connect)
web.run_app(
    application, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None, backlog=4096
)
