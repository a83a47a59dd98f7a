"""What happens in a session: turns, streams, tools, and the way back after a broken connection."""

from suite import bash, beta, calls, cut, equal, find, flow, new_session, refused, release, say, send, text, toolset, turn, until

events, sessions = beta.sessions.events, beta.sessions


@flow("send, then stream")
def _():
    session = new_session()
    send(session, say("Quick."))
    with events.stream(session.id) as stream:
        equal(text(find(until(stream), "agent.message")[0]), "You said: Quick.")


@flow("stream, then send")
def _():
    session = new_session()
    seen = turn(session, calls(bash("printf hi")), event_deltas=["agent.message", "agent.thinking"])
    equal([e.type for e in seen if not e.type.startswith("event_")], [
        "user.message", "session.status_running", "span.model_request_start", "agent.tool_use", "span.model_request_end",
        "agent.tool_result", "span.model_request_start", "agent.message", "span.model_request_end", "session.usage",
        "session.status_idle",
    ])
    use, result, message = (find(seen, f"agent.{kind}")[0] for kind in ("tool_use", "tool_result", "message"))
    equal((use.name, use.input, use.evaluated_permission), ("bash", {"command": "printf hi"}, "allow"))
    equal((result.tool_use_id, text(result), text(message)), (use.id, "hi", "It said: hi"))
    equal(find(seen, "event_start")[0].event.id, message.id)
    assert text(message).startswith("".join(e.delta.content.text for e in find(seen, "event_delta")))
    equal(seen[-1].stop_reason.type, "end_turn")
    equal(sessions.retrieve(session.id).status, "idle")


@flow("a custom tool")
def _():
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    weather = {"type": "custom", "name": "get_weather", "description": "The weather of a city.", "input_schema": schema}
    session = new_session(tools=[weather])
    asked = turn(session, calls({"name": "get_weather", "input": {"city": "Oslo"}}))
    use = find(asked, "agent.custom_tool_use")[0]
    equal((asked[-1].stop_reason.type, asked[-1].stop_reason.event_ids), ("requires_action", [use.id]))
    answer = [{"type": "user.custom_tool_result", "custom_tool_use_id": use.id, "content": [{"type": "text", "text": "Rain."}]}]
    equal(text(find(turn(session, answer), "agent.message")[0]), "It said: Rain.")
    refused(400, "invalid_request_error", send, session, answer)


@flow("always_ask")
def _():
    session = new_session(tools=[{**toolset, "default_config": {"permission_policy": {"type": "always_ask"}}}])
    asked = turn(session, calls(bash("printf yes"), bash("printf no")))
    first, second = find(asked, "agent.tool_use")
    equal((first.evaluated_permission, second.evaluated_permission), ("ask", "ask"))
    equal(asked[-1].stop_reason.event_ids, [first.id, second.id])
    half = turn(session, [{"type": "user.tool_confirmation", "tool_use_id": first.id, "result": "allow"}])
    equal((half[-1].stop_reason.type, half[-1].stop_reason.event_ids), ("requires_action", [second.id]))
    deny = {"type": "user.tool_confirmation", "tool_use_id": second.id, "result": "deny", "deny_message": "not that"}
    equal(turn(session, [deny])[-1].stop_reason.type, "end_turn")
    results = {e.tool_use_id: text(e) for e in find(list(events.list(session.id)), "agent.tool_result")}
    equal(results[first.id], "yes")
    assert "not that" in results[second.id], results


@flow("interrupt")
def _():
    session = new_session()
    stopped = False
    with events.stream(session.id) as stream:
        send(session, say("hang"))
        for event in stream:
            if event.type == "span.model_request_start":
                send(session, [{"type": "user.interrupt"}])
            if event.type == "session.status_idle":
                equal(event.stop_reason.type, "end_turn")
                stopped = True
                break
    assert stopped
    equal(text(find(turn(session, say("And now?")), "agent.message")[0]), "You said: And now?")


@flow("more than 1,000 events")
def _():
    session = new_session()
    turn(session, [say(f"Message {i}")[0] for i in range(1000)])
    turn(session, say("The last."))
    forth = [e.id for e in events.list(session.id, limit=300)]
    back = [e.id for e in events.list(session.id, order="desc")]
    assert len(forth) > 1000, len(forth)
    equal(len(set(forth)), len(forth))
    equal(back[::-1], forth)
    messages = list(events.list(session.id, types=["agent.message"], limit=1))
    equal(text(messages[-1]), "You said: The last.")


@flow("reconnect in mid-stream")
def _():
    session = new_session()
    seen = {}

    def take(event):
        if event.processed_at and event.id not in seen:
            seen[event.id] = event
        return event.type == "session.status_idle"

    stream = events.stream(session.id)
    send(session, say("hold"))
    try:
        for event in stream:
            take(event)
            if event.type == "span.model_request_start":
                cut()
    except Exception:
        pass  # each client has its own word for a cut; some take it for an end
    assert not find(seen.values(), "session.status_idle")
    release()  # the turn ends while nobody listens
    with events.stream(session.id) as again:
        for event in events.list(session.id):
            take(event)
        if not find(seen.values(), "session.status_idle"):
            until(again, take)
    equal(sorted(seen), sorted(e.id for e in events.list(session.id)))
    equal(len(find(seen.values(), "agent.message")), 1)
