"""How each clip of the corpus is made: one command a line.

``{name}`` in a command is the path of the clip of that name, which is made first, ``{out}`` of the clip
itself, ``{fixtures}`` the directory of audio that no free encoder makes.
"""

from dataclasses import dataclass

_FFMPEG = "ffmpeg -hide_banner -loglevel error -nostdin -y"
_GSTREAMER = "gst-launch-1.0 -q"
_PICTURE = f"{_FFMPEG} -f lavfi -i testsrc2=size=160x120:rate=25"
_SOUND = f"{_FFMPEG} -f lavfi -i sine=frequency=440:sample_rate=48000:duration=2.4"
_SURROUND = f"{_FFMPEG} -f lavfi -i anoisesrc=amplitude=0.1:sample_rate=48000:duration=2.4"
_X264 = "-c:v libx264 -threads 1 -preset ultrafast -pix_fmt yuv420p -g 25"
_X265 = "-c:v libx265 -preset ultrafast -pix_fmt yuv420p -x265-params"
_COPY = "-c copy -bitexact"
_VARIABLE = r"select='not(eq(mod(n\,7)\,3))*not(eq(mod(n\,11)\,5))'"
_5_1 = "-af pan=5.1|c0=c0|c1=c0|c2=c0|c3=c0|c4=c0|c5=c0"


@dataclass(frozen=True)
class Recipe:
    """A command, and the suffix of what it makes."""

    suffix: str
    command: str


# Pictures alone: 2.4 s at 25 fps unless the name says otherwise
_VIDEO = {
    "h264": f"{_PICTURE} -t 2.4 {_X264} {{out}}",
    "h264-b-frames": f"{_PICTURE} -t 2.4 {_X264} -bf 3 -b_strategy 0 {{out}}",
    "h264-pyramid": f"{_PICTURE} -t 2.4 {_X264} -bf 3 -b_strategy 0 -x264-params b-pyramid=1:ref=3 {{out}}",
    "h264-open-gop": f"{_PICTURE} -t 2.4 {_X264} -bf 2 -b_strategy 0 -x264-params open-gop=1 {{out}}",
    "h264-10-s-gop": f"{_PICTURE} -t 21 {_X264} -g 250 -keyint_min 250 -sc_threshold 0 {{out}}",
    "h264-intra-refresh": f"{_PICTURE} -t 2.4 {_X264} -x264-params intra-refresh=1:keyint=12 {{out}}",
    "h264-vfr": f'{_PICTURE} -t 2.4 -vf "{_VARIABLE}" -vsync vfr {_X264} {{out}}',
    "h264-29.97": f"{_FFMPEG} -f lavfi -i testsrc2=size=160x120:rate=30000/1001 -t 2.4 {_X264} -bf 2 {{out}}",
    "h264-slices": f"{_PICTURE} -t 2.4 {_X264} -x264-params slices=4:aud=1 {{out}}",
    "h264-interlaced": f"{_PICTURE} -t 2.4 {_X264} -flags +ilme+ildct {{out}}",
    "h264-large": f"{_PICTURE} -t 2.4 -s 320x240 {_X264} {{out}}",
    "h265": f"{_PICTURE} -t 2.4 {_X265} keyint=25:bframes=0:log-level=none {{out}}",
    "h265-b-frames": f"{_PICTURE} -t 2.4 {_X265} keyint=25:bframes=3:open-gop=0:log-level=none {{out}}",
    "h265-open-gop": f"{_PICTURE} -t 2.4 {_X265} keyint=25:bframes=3:open-gop=1:log-level=none {{out}}",
    "av1": f"{_PICTURE} -t 2.4 -c:v libsvtav1 -preset 12 -g 25 {{out}}",
}
# Sound alone, 2.4 s
_AUDIO = {
    "aac": (".aac", f"{_SOUND} -c:a aac {{out}}"),
    "aac-21-s": (".aac", f"{_FFMPEG} -f lavfi -i sine=duration=21:sample_rate=48000 -c:a aac {{out}}"),
    "aac-44.1": (".aac", f"{_SOUND} -c:a aac -ar 44100 {{out}}"),
    "aac-8-mono": (".aac", f"{_SOUND} -c:a aac -ar 8000 -ac 1 {{out}}"),
    "aac-5.1": (".aac", f"{_SURROUND} {_5_1} -c:a aac {{out}}"),
    "mp2": (".mp2", f"{_SOUND} -c:a mp2 -ac 2 {{out}}"),
    "mp3": (".mp3", f"{_SOUND} -c:a libmp3lame -ac 2 -ar 44100 -write_xing 0 -id3v2_version 0 {{out}}"),
    "ac3": (".ac3", f"{_SOUND} -c:a ac3 -ac 2 {{out}}"),
    "ac3-5.1": (".ac3", f"{_SURROUND} {_5_1} -c:a ac3 {{out}}"),
    "eac3": (".eac3", f"{_SOUND} -c:a eac3 -ac 2 {{out}}"),
    "eac3-5.1": (".eac3", f"{_SURROUND} {_5_1} -c:a eac3 {{out}}"),
    "opus": (".ogg", f"{_SOUND} -c:a libopus -ac 2 {{out}}"),
    "opus-5.1": (
        ".ogg",
        f"{_SURROUND} {_5_1} -c:a libopus -mapping_family 1 {{out}}",
    ),
    "he-aac": (".aac", "sh -c 'for i in 1 2 3 4; do cat {fixtures}/aac/he_aac.adts; done > {out}'"),
    "he-aac-v2": (".aac", "sh -c 'for i in 1 2 3 4; do cat {fixtures}/aac/he_aac_v2.adts; done > {out}'"),
}
# A container: its suffix, and what FFmpeg writes it with
_CONTAINERS = {
    "ts": (".ts", f"{_COPY} -f mpegts"),
    "ts-pes-length": (".ts", f"{_COPY} -f mpegts -omit_video_pes_length 0 -pes_payload_size 0"),
    "ts-constant-rate": (".ts", f"{_COPY} -f mpegts -muxrate 2M -pat_period 0.05"),
    "ts-latm": (".ts", f"{_COPY} -f mpegts -mpegts_flags latm"),
    "m2ts": (".m2ts", f"{_COPY} -f mpegts -mpegts_m2ts_mode 1"),
    "mp4": (".mp4", f"{_COPY}"),
    "mp4-faststart": (".mp4", f"{_COPY} -movflags +faststart"),
    "mov": (".mov", f"{_COPY}"),
    "fmp4": (".mp4", f"{_COPY} -movflags +frag_keyframe+empty_moov+default_base_moof+delay_moov"),
    "flv": (".flv", f"{_COPY} -flvflags no_duration_filesize"),
    "enhanced-flv": (".flv", ""),
    "mkv": (".mkv", f"{_COPY}"),
}
_MUXED_BY_LIBAV = "python -m tests.corpus.remux"  # newer than the ffmpeg of Debian 12: Enhanced FLV v2

_TS = f"{_COPY} -f mpegts"
_BOTH = "-i {h264-b-frames} -i {aac}"
_OTHERS = {
    # 33 bits of 90 kHz are 95443.7 s; FFmpeg begins 1.4 s after the offset
    "ts-wrap": (".ts", f"{_FFMPEG} {_BOTH} {_TS} -output_ts_offset 95441.1 {{out}}"),
    "ts-100-s-later": (
        ".ts",
        f"{_FFMPEG} -i {{h264-large}} -i {{aac-44.1}} {_TS} -output_ts_offset 100 {{out}}",
    ),
    "ts-larger": (".ts", f"{_FFMPEG} -i {{h264-large}} -i {{aac-44.1}} {_TS} -output_ts_offset 2.4 {{out}}"),
    "ts-h265": (".ts", f"{_FFMPEG} -i {{h265}} -i {{aac}} {_TS} {{out}}"),
    "ts-h265-larger": (
        ".ts",
        f"{_FFMPEG} -i {{h265-large}} -i {{aac-44.1}} {_TS} -output_ts_offset 2.4 {{out}}",
    ),
    "mkv-silent-track": (".mkv", f"{_FFMPEG} -i {{h264}} -i {{mp3}} {_COPY} -frames:a 0 {{out}}"),
    "he-aac-short": (".aac", "sh -c 'head -c 683 {fixtures}/aac/he_aac.adts > {out}'"),
    "ts-50-s": (".ts", f"{_FFMPEG} {_BOTH} {_TS} -output_ts_offset 50 {{out}}"),
    "ts-two-programs": (
        ".ts",
        f"{_FFMPEG} {_BOTH} -i {{h264-large}} -i {{aac-44.1}} -map 0 -map 1 -map 2 -map 3 {_TS} "
        "-program program_num=7:st=0:st=1 -program program_num=9:st=2:st=3 {out}",
    ),
    "h265-large": (".mp4", f"{_PICTURE} -t 2.4 -s 320x240 {_X265} keyint=25:log-level=none {{out}}"),
    "mpeg-2-video.ts": (".ts", f"{_PICTURE} -t 1 -c:v mpeg2video -f mpegts {{out}}"),
    "dts.ts": (".ts", f"{_SOUND} -c:a dca -strict -2 -f mpegts {{out}}"),
    "mpeg-4-part-2.mp4": (".mp4", f"{_PICTURE} -t 1 -c:v mpeg4 {{out}}"),
    "prores.mov": (".mov", f"{_PICTURE} -t 1 -c:v prores_ks {{out}}"),
    "flac.mp4": (".mp4", f"{_SOUND} -c:a flac -strict -2 {{out}}"),
    "encrypted.mp4": (
        ".mp4",
        f"{_FFMPEG} -i {{h264}} {_COPY} -encryption_scheme cenc-aes-ctr "
        f"-encryption_key {'12' * 16} -encryption_kid {'34' * 16} {{out}}",
    ),
    "sorenson.flv": (".flv", f"{_PICTURE} -t 1 -c:v flv {{out}}"),
    "adpcm.flv": (".flv", f"{_SOUND} -ar 44100 -c:a adpcm_swf {{out}}"),
    "vp8.webm": (".webm", f"{_PICTURE} -t 1 -c:v libvpx {{out}}"),
    "theora.ogg": (".ogv", f"{_PICTURE} -t 1 -c:v libtheora {{out}}"),
    "mjpeg.avi": (".avi", f"{_PICTURE} -t 1 -c:v mjpeg -pix_fmt yuvj420p {{out}}"),
    "pcm.wav": (".wav", f"{_SOUND} {{out}}"),
    "picture.png": (".png", f"{_PICTURE} -frames:v 1 {{out}}"),
    "gst-ts": (
        ".ts",
        f"{_GSTREAMER} mpegtsmux name=m ! filesink location={{out}} "
        "videotestsrc num-buffers=60 ! video/x-raw,width=160,height=120,framerate=25/1 "
        "! x264enc key-int-max=25 bframes=2 ! h264parse ! m. "
        "audiotestsrc num-buffers=112 samplesperbuffer=1024 ! audio/x-raw,rate=48000,channels=2 "
        "! voaacenc ! aacparse ! m.",
    ),
    "gst-ts-opus": (
        ".ts",
        f"{_GSTREAMER} mpegtsmux name=m ! filesink location={{out}} "
        "videotestsrc num-buffers=60 ! video/x-raw,width=160,height=120,framerate=25/1 "
        "! x264enc key-int-max=25 ! h264parse ! m. "
        "audiotestsrc num-buffers=120 samplesperbuffer=960 ! audio/x-raw,channels=2 ! opusenc ! m.",
    ),
    "gst-mp4": (
        ".mp4",
        f"{_GSTREAMER} mp4mux name=m ! filesink location={{out}} "
        "videotestsrc num-buffers=60 ! video/x-raw,width=160,height=120,framerate=30000/1001 "
        "! x264enc key-int-max=25 bframes=2 ! h264parse ! m. "
        "audiotestsrc num-buffers=112 samplesperbuffer=1024 ! audio/x-raw,rate=44100,channels=2 "
        "! voaacenc ! aacparse ! m.",
    ),
    "gst-fmp4": (
        ".mp4",
        f"{_GSTREAMER} mp4mux name=m fragment-duration=500 streamable=true ! filesink location={{out}} "
        "videotestsrc num-buffers=60 ! video/x-raw,width=160,height=120,framerate=25/1 "
        "! x264enc key-int-max=25 bframes=2 ! h264parse ! m. "
        "audiotestsrc num-buffers=112 samplesperbuffer=1024 ! audio/x-raw,rate=48000,channels=2 "
        "! voaacenc ! aacparse ! m.",
    ),
    "gst-flv": (
        ".flv",
        f"{_GSTREAMER} flvmux name=m ! filesink location={{out}} "
        "videotestsrc num-buffers=60 ! video/x-raw,width=160,height=120,framerate=25/1 "
        "! x264enc key-int-max=25 bframes=2 ! h264parse ! m. "
        "audiotestsrc num-buffers=112 samplesperbuffer=1024 ! audio/x-raw,rate=48000,channels=2 "
        "! voaacenc ! aacparse ! m.",
    ),
    "gst-mkv": (
        ".mkv",
        f"{_GSTREAMER} matroskamux name=m ! filesink location={{out}} "
        "videotestsrc num-buffers=60 ! video/x-raw,width=160,height=120,framerate=25/1 "
        "! x264enc key-int-max=25 bframes=2 ! h264parse ! m. "
        "audiotestsrc num-buffers=112 samplesperbuffer=1024 ! audio/x-raw,rate=48000,channels=2 "
        "! voaacenc ! aacparse ! m.",
    ),
}


def muxed(container: str, *clips: str) -> str:
    """The name of the clip that is these clips in a container; ``h264@1.5`` begins 1.5 s late."""
    return f"{container}:{'+'.join(clips)}"


def recipe(name: str) -> Recipe:
    """How the clip of this name is made; a name of :func:`muxed` says it itself."""
    if name in _VIDEO:
        return Recipe(".mp4", _VIDEO[name])
    if name in _AUDIO:
        return Recipe(*_AUDIO[name])
    if name in _OTHERS:
        return Recipe(*_OTHERS[name])
    container, _, clips = name.partition(":")
    suffix, options = _CONTAINERS[container]
    inputs = [clip.partition("@")[0] for clip in clips.split("+")]
    delays = [clip.partition("@")[2] or "0" for clip in clips.split("+")]
    if not options:
        return Recipe(suffix, " ".join((_MUXED_BY_LIBAV, *(f"{{{clip}}}" for clip in inputs), "{out}")))
    if container == "ts-latm":  # LATM needs a decoder configuration, which ADTS is none
        inputs = [clip if clip in _VIDEO else muxed("mp4", clip) for clip in inputs]
    arguments = " ".join(
        f"-itsoffset {delay_s} -i {{{clip}}}" for clip, delay_s in zip(inputs, delays, strict=True)
    )
    if suffix == ".mp4" and any("aac" in clip for clip in inputs):
        options = f"-bsf:a aac_adtstoasc {options}"
    return Recipe(suffix, f"{_FFMPEG} {arguments} {options} {{out}}")
