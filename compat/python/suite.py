"""What the flows share: the client under test, the suite's own address, and small helpers."""

import json
import os
import re
import traceback
import urllib.parse
import urllib.request

import anthropic

model = os.environ["SUITE_MODEL"]
priced = os.environ["SUITE_PRICED"]  # a model of which each call costs two cents
major = int(anthropic.__version__.split(".")[0])

# The client as anybody makes it: its address and key come from the environment.
client = anthropic.Anthropic(timeout=60, _strict_response_validation=major >= 1)
beta = client.beta


def _suite(path, method="GET"):
    request = urllib.request.Request(os.environ["SUITE_URL"] + path, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read().decode()


def cut():
    _suite("cut", "POST")


def release():
    _suite("release", "POST")


def count(path):
    return int(_suite("count?path=" + urllib.parse.quote(path, safe="")))


def webhook(*types):
    """Makes a webhook for these types of events, whose messages come to the suite."""
    return json.loads(_suite("webhook?" + "&".join("event=" + t for t in types), "POST"))


def message():
    """Waits for the next message that came to the webhook."""
    return json.loads(_suite("message"))


_flows = []


def flow(name):
    def keep(run):
        _flows.append((name, run))
        return run

    return keep


toolset = {"type": "agent_toolset_20260401"}


def say(text):
    return [{"type": "user.message", "content": [{"type": "text", "text": text}]}]


def calls(*listed):
    return say("calls " + json.dumps(listed))


def bash(command):
    return {"name": "bash", "input": {"command": command}}


def text(event):
    return "".join(getattr(block, "text", "") for block in event.content or [])


def new_agent(**more):
    return beta.agents.create(**{"name": "Helper", "model": model, "system": "Be brief.", "tools": [toolset], **more})


def new_environment(**more):
    return beta.environments.create(**{"name": "box", **more})


def new_session(tools=None, **more):
    agent = new_agent(**({"tools": tools} if tools else {}))
    return beta.sessions.create(agent=agent.id, environment_id=new_environment().id, **more)


def send(session, events):
    return beta.sessions.events.send(session.id, events=events)


def until(stream, done=lambda event: event.type == "session.status_idle"):
    """Reads a stream to the session's next idle. Input that waited comes twice, with one id: it is kept once."""
    events = {}
    for event in stream:
        events[getattr(event, "id", None) or f"preview {len(events)}"] = event
        if done(event):
            return list(events.values())
    raise AssertionError(f"the stream ended behind {[e.type for e in events.values()]}")


def find(events, kind):
    return [event for event in events if event.type == kind]


def turn(session, events, **params):
    """Sends events to a session and reads what becomes of them."""
    with beta.sessions.events.stream(session.id, **params) as stream:
        send(session, events)
        return until(stream)


def equal(got, want):
    assert got == want, f"got {got!r}, want {want!r}"


def refused(status, kind, call, *args, **kwargs):
    """Wants an error of the client with this status and type, and returns it."""
    try:
        call(*args, **kwargs)
    except anthropic.APIStatusError as error:
        equal((error.status_code, error.body["error"]["type"]), (status, kind))
        assert re.match("req_", error.request_id), error.request_id
        return error
    raise AssertionError(f"no error: want {status} {kind}")


def run_all():
    """Runs the flows, one behind the other, and prints what became of each as a line of JSON."""
    for name, run in _flows:
        if os.environ.get("SUITE_ONLY", "") not in name:
            continue
        error = ""
        try:
            run()
        except Exception:
            error = traceback.format_exc()
        print(json.dumps({"flow": name, "error": error}), flush=True)
