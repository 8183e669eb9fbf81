"""The server of `picows`, which is written in Cython, and nothing but JSON behind it."""

import sys

import uvloop
from answers import answer
from picows import (
    WSListener,
    WSMsgType,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
    ws_create_server,
)


class ChargingPoint(WSListener):
    """One connection."""

    def on_ws_frame(self, transport, frame):
        if frame.msg_type == WSMsgType.TEXT:
            transport.send(WSMsgType.TEXT, answer(frame.get_payload_as_utf8_text()).encode())
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()


def on_connect(request):
    """Accept, with the subprotocol."""
    return WSUpgradeResponseWithListener(
        WSUpgradeResponse.create_101_response({"Sec-WebSocket-Protocol": "ocpp1.6"}),
        ChargingPoint(),
    )


async def main():
    """Serve until ended."""
    server = await ws_create_server(
        on_connect, "127.0.0.1", int(sys.argv[1]), backlog=4096, websocket_handshake_timeout=60
    )
    await server.serve_forever()


uvloop.run(main())
