"""The event streams alone, served with gevent: thousands of them in one process.

Run as a program of its own (`portal events` turns into it), because sockets, locks and the database driver must be
imported after the patching: imported before it, the driver waits for the database with the whole process.
"""

from gevent import monkey

monkey.patch_all()


def main(bind: str) -> None:
    """Serve until SIGTERM or SIGINT."""
    from flask import Flask

    from portal.app import create_app
    from portal.core import logs
    from portal.core.settings import from_environment
    from portal.serving import Plan, serve
    from portal.web.events.stream import letting_go

    settings = from_environment()
    logs.configure(settings)

    def make() -> Flask:
        app = create_app(settings)
        app.wsgi_app = letting_go(app.wsgi_app)  # type: ignore[method-assign]
        return app

    # After a stream nothing more is asked on its connection.
    serve(make, Plan(bind, 1, 1, worker_class="gevent", keepalive=0))


if __name__ == "__main__":
    import sys

    main(sys.argv[1])
