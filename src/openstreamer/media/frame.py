"""The packet that flows through the whole server."""

from openstreamer.media.track import Track


class Frame:
    """One coded access unit: the same from every source, into every sink, over every pipe.

    - ``pts_90k``, ``dts_90k``: presentation and decoding time in 1/90000 s, never wrapping; continuous per
      stream once the timeline has mapped them (a source delivers its own origin).
    - ``key``: a random access point; true only for video, or for audio when there is no video.
    - ``payload``: H.264 and H.265 as NAL units with 4-byte lengths, without access unit delimiters needed;
      AAC without ADTS; AV1 as low-overhead OBUs without temporal delimiters; other codecs as one
      codec frame.
    - ``epoch``: one higher whenever the source changed or restarted.

    A frame is written once by whoever makes it and never changed after it entered a hub. It is not frozen
    because building one is on the hottest path of the server.
    """

    __slots__ = ("dts_90k", "epoch", "key", "payload", "pts_90k", "track")

    def __init__(
        self, track: Track, pts_90k: int, dts_90k: int, key: bool, payload: bytes, epoch: int = 0
    ) -> None:
        self.track = track
        self.pts_90k = pts_90k
        self.dts_90k = dts_90k
        self.key = key
        self.payload = payload
        self.epoch = epoch

    def __repr__(self) -> str:
        mark = "K" if self.key else "-"
        return (
            f"<Frame {self.track.codec}#{self.track.id} {mark} pts={self.pts_90k} dts={self.dts_90k} "
            f"{len(self.payload)} B epoch={self.epoch}>"
        )
