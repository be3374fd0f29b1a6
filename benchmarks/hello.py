"""The limit of the framework: a Flask app that says hello, served as the portal is (two processes, gthread)."""

from flask import Flask

from portal.serving import Plan, serve


def app() -> Flask:
    """One route and nothing else."""
    made = Flask(__name__)

    @made.get("/")
    def hello() -> str:
        return "hello"

    return made


if __name__ == "__main__":
    import sys

    serve(app, Plan(f"127.0.0.1:{sys.argv[1]}", 2, 8))
