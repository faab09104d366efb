# Autobahn's wstest (Python 2.7) as it comes, but for one thing: it listens on loopback only, and says where.
import sys

from twisted.internet import posixbase

listen = posixbase.PosixReactorBase.listenTCP


def listen_on_loopback(self, port, factory, backlog=50, interface=""):
    listening = listen(self, port, factory, backlog, "127.0.0.1")
    print("listening on 127.0.0.1:%d" % listening.getHost().port)
    return listening


posixbase.PosixReactorBase.listenTCP = listen_on_loopback

sys.argv[0] = "wstest"

from autobahntestsuite.wstest import run  # noqa: E402

run()
