"""A client in another language, over another WebRTC library (aiortc), at a media
node without admission. Written from docs/protocol.md.

    python3 stranger.py URL ROOM

One connection sends a voice and a picture, another one gets both. It prints what
came as one line of JSON.
"""

import asyncio
import contextlib
import fractions
import json
import sys
import time
import urllib.request

import aiortc.rtcdtlstransport as dtls
import av
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from OpenSSL import SSL
from pylibsrtp import Policy


def only_aead_aes_256_gcm():
    """The node takes this protection alone (RFC 7714); the library asks for another."""
    dtls.SRTP_KEY_LEN, dtls.SRTP_SALT_LEN = 32, 12

    class Sealed(Policy):
        def __init__(self, **more):
            super().__init__(srtp_profile=Policy.SRTP_PROFILE_AEAD_AES_256_GCM, **more)

    dtls.Policy = Sealed
    use = SSL.Context.set_tlsext_use_srtp
    SSL.Context.set_tlsext_use_srtp = lambda self, _: use(self, b"SRTP_AEAD_AES_256_GCM")


class Voice(MediaStreamTrack):
    kind = "audio"
    count = 0

    async def recv(self):
        begun = self.__dict__.setdefault("begun", time.time())
        await asyncio.sleep(max(0, begun + self.count * 0.02 - time.time()))
        frame = av.AudioFrame(format="s16", layout="mono", samples=960)
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.sample_rate, frame.pts, frame.time_base = 48000, self.count * 960, fractions.Fraction(1, 48000)
        self.count += 1
        return frame


class Picture(MediaStreamTrack):
    kind = "video"
    count = 0

    async def recv(self):
        begun = self.__dict__.setdefault("begun", time.time())
        await asyncio.sleep(max(0, begun + self.count / 15 - time.time()))
        frame = av.VideoFrame(320, 240, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes([(self.count * 3) % 256]) * plane.buffer_size)
        frame.pts, frame.time_base = self.count * 6000, fractions.Fraction(1, 90000)
        self.count += 1
        return frame


def post(url, body):
    with urllib.request.urlopen(urllib.request.Request(url, data=body.encode(), method="POST")) as answer:
        return answer.status, answer.headers["Location"], answer.read().decode()


async def enter(pc, base, room):
    await pc.setLocalDescription(await pc.createOffer())
    status, place, answer = await asyncio.to_thread(post, f"{base}/rooms/{room}/legs", pc.localDescription.sdp)
    assert status == 201, answer
    await pc.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))
    return place


async def main(base, room):
    only_aead_aes_256_gcm()
    came = {"audio": 0, "video": 0}
    sender, receiver = RTCPeerConnection(), RTCPeerConnection()

    @receiver.on("track")
    def on_track(track):
        async def take():
            with contextlib.suppress(MediaStreamError):  # its end
                while True:
                    await track.recv()
                    came[track.kind] += 1

        asyncio.ensure_future(take())

    for track in (Voice(), Picture()):
        sender.addTransceiver(track, direction="sendonly")
    for kind in ("audio", "video"):
        receiver.addTransceiver(kind, direction="recvonly")
    await enter(sender, base, room)
    await enter(receiver, base, room)
    for _ in range(600):
        if came["audio"] > 100 and came["video"] > 30:
            break
        await asyncio.sleep(0.1)
    print(json.dumps(came), flush=True)
    await asyncio.gather(sender.close(), receiver.close())


asyncio.run(main(sys.argv[1].rstrip("/"), sys.argv[2]))
