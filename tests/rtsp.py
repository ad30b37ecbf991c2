"""Serve RTSP on the loopback with GStreamer, and print the URL.

    python rtsp.py [--film FILE] [--port N] [--check]

Each client gets the Matroska film from its start, or the pictures of a camera. Any Python with Gst and
GstRtspServer runs this. On Debian: gir1.2-gst-rtsp-server-1.0, gstreamer1.0-plugins-good and -bad, and the
system's python3.
"""

from __future__ import annotations

import argparse
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

FILM = 'filesrc location="{}" ! matroskademux ! h264parse ! rtph264pay name=pay0'
CAMERA = (
    "videotestsrc is-live=true ! video/x-raw,format=I420,width=64,height=48 ! jpegenc ! rtpjpegpay name=pay0"
)
ELEMENTS = ("matroskademux", "h264parse", "rtph264pay", "videotestsrc", "jpegenc", "rtpjpegpay")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--film")
    parser.add_argument("--port", default="0")
    parser.add_argument("--check", action="store_true", help="only check that GStreamer has every element")
    args = parser.parse_args()
    Gst.init(None)
    missing = [name for name in ELEMENTS if Gst.ElementFactory.find(name) is None]
    if missing:
        sys.exit(f"GStreamer has no {missing[0]}")
    if args.check:
        return
    server, factory = GstRtspServer.RTSPServer(), GstRtspServer.RTSPMediaFactory()
    server.set_address("127.0.0.1")
    server.set_service(args.port)
    factory.set_launch(f"( {CAMERA if args.film is None else FILM.format(args.film)} )")
    server.get_mount_points().add_factory("/stream", factory)
    server.attach(None)
    print(f"rtsp://127.0.0.1:{server.get_bound_port()}/stream", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
