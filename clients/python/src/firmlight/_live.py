"""Live events over a WebSocket."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import websockets.asyncio.client as ws
from websockets.exceptions import ConnectionClosed, InvalidStatus

from .client import API, ApiError

SUBPROTOCOL = "firmlight.live.v1"


async def live(server: str, token: str, topics: Sequence[str]) -> AsyncIterator[Mapping[str, Any]]:
    """Subscribe and yield every event, `subscribed` first. Raises ApiError."""
    address = "ws" + server.removeprefix("http") + API + "/live"
    headers = {"Authorization": f"Bearer {token}"}
    subprotocol: Any = SUBPROTOCOL  # a NewType of str
    try:
        async with ws.connect(address, additional_headers=headers, subprotocols=[subprotocol]) as socket:
            await socket.send(json.dumps({"type": "subscribe", "topics": list(topics)}))
            async for frame in socket:
                event = json.loads(frame)
                if event["type"] == "error":
                    raise ApiError(403, event.get("code", ""), event.get("message", ""))
                yield event
    except InvalidStatus as err:
        raise ApiError(err.response.status_code, "refused", "the server refused the connection") from None
    except ConnectionClosed as err:
        if err.rcvd is not None and err.rcvd.code == 4401:
            raise ApiError(401, "unauthorized", "the token has expired or was revoked") from None
