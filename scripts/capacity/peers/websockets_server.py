"""The asyncio server of `websockets` with its defaults, and nothing but JSON behind it."""

import asyncio
import sys

import websockets
from answers import answer


async def on_connect(connection):
    """Serve one charging point."""
    try:
        async for text in connection:
            await connection.send(answer(text))
    except websockets.exceptions.ConnectionClosed:
        pass


async def main():
    """Serve until ended."""
    async with websockets.serve(
        on_connect, "127.0.0.1", int(sys.argv[1]), subprotocols=["ocpp1.6"], backlog=4096
    ) as server:
        await server.serve_forever()


asyncio.run(main())
