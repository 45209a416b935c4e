"""A WebSocket origin over HTTP/1 that sends every message back; says its port, then serves until it is ended."""

import asyncio
import contextlib

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed


async def echo(connection):
    # A close with a code of the client's own is an error to the library, and the client's to judge here.
    with contextlib.suppress(ConnectionClosed):
        async for message in connection:
            await connection.send(message)


async def main():
    async with serve(echo, "127.0.0.1", 0, max_size=None, compression=None, subprotocols=["chat"]) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()


asyncio.run(main())
