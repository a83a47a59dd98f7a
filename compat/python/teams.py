"""Sessions with more to them: teams, resources, budgets, outcomes, skills, and what webhooks tell of them."""

from suite import (
    bash, beta, calls, equal, find, flow, message, new_agent, new_environment, new_session, priced, refused, say, send, text, turn, until,
    webhook,
)

agents, sessions = beta.agents, beta.sessions


@flow("teams")
def _():
    mate = new_agent(name="Mate", description="Counts.")
    roster = [{"type": "agent", "id": mate.id}, {"type": "self"}]
    lead = new_agent(name="Lead", multiagent={"type": "coordinator", "agents": roster})
    equal([a.id for a in lead.multiagent.agents], [mate.id, lead.id])
    session = sessions.create(agent=lead.id, environment_id=new_environment().id)
    events = turn(session, calls({"name": "spawn_agent", "input": {"agent": "Mate", "message": "One, two."}}))
    created = find(events, "session.thread_created")[0]
    equal(created.agent_name, "Mate")
    primary, child = sessions.threads.list(session.id)
    equal((primary.parent_thread_id, child.parent_thread_id, child.id), (None, primary.id, created.session_thread_id))
    equal(sessions.threads.retrieve(child.id, session_id=session.id).agent.name, "Mate")
    log = list(sessions.threads.events.list(child.id, session_id=session.id, limit=2))
    assert "One, two." in text(find(log, "agent.message")[0])
    report = find(events, "agent.thread_message_received")[0]
    equal((report.from_session_thread_id, report.from_agent_name), (child.id, "Mate"))

    with sessions.threads.events.stream(child.id, session_id=session.id) as stream:
        send(session, calls({"name": "send_to_agent", "input": {"thread": child.id, "message": "Three."}}))
        heard = until(stream, lambda e: e.type == "agent.message" and "Three." in text(e))
    assert find(heard, "span.model_request_start")
    while sessions.retrieve(session.id).status != "idle":
        pass
    assert sessions.threads.archive(child.id, session_id=session.id).archived_at


@flow("session resources")
def _():
    stores, resources = beta.memory_stores, sessions.resources
    first, second = (beta.files.upload(file=(name, body, "text/plain")).id for name, body in (("a.txt", b"alpha"), ("b.txt", b"beta")))
    store = stores.create(name="Team facts").id
    stores.memories.create(store, path="/one.md", content="remembered")
    url = "https://github.com/example/never-cloned"
    session = new_session(resources=[
        {"type": "file", "file_id": first, "mount_path": "a.txt"},
        {"type": "memory_store", "memory_store_id": store, "access": "read_write", "instructions": "Look here."},
        {"type": "github_repository", "url": url, "authorization_token": "secret-token", "mount_path": "/workspace/code"},
    ])
    assert "secret-token" not in session.to_json()
    repository = find(session.resources, "github_repository")[0].id
    equal(resources.update(repository, session_id=session.id, authorization_token="newer-token").id, repository)
    equal(resources.delete(repository, session_id=session.id).type, "session_resource_deleted")
    added = resources.add(session.id, type="file", file_id=second, mount_path="b.txt")
    equal(resources.retrieve(added.id, session_id=session.id).mount_path, "/mnt/session/uploads/b.txt")
    listed = list(resources.list(session.id))
    equal(sorted(r.type for r in listed), ["file", "file", "memory_store"])
    mount = find(listed, "memory_store")[0].mount_path
    read = f"cat /mnt/session/uploads/a.txt /mnt/session/uploads/b.txt {mount}/one.md"
    events = turn(session, calls(bash(f"{read}; printf new > {mount}/two.md; printf made > /mnt/session/outputs/c.txt")))
    equal(text(find(events, "agent.message")[0]), "It said: alphabetaremembered")
    versions = list(stores.memory_versions.list(store, session_id=session.id))
    equal([(v.path, v.created_by.session_id) for v in versions], [("/two.md", session.id)])
    made = [f for f in beta.files.list(scope_id=session.id) if f.filename == "c.txt"][0]
    equal(beta.files.download(made.id).read(), b"made")
    equal([s.id for s in sessions.list(memory_store_id=store)], [session.id])


def cents(amount):
    return {"type": "limit", "max_list_cost": {"amount": amount, "currency": "USD"}}


@flow("budgets")
def _():
    environment = new_environment().id
    unpriced = new_agent().id
    refused(400, "invalid_request_error", sessions.create, agent=unpriced, environment_id=environment, budget=cents("1"))
    session = sessions.create(agent=new_agent(model=priced).id, environment_id=environment, budget=cents("1"))
    equal(session.budget.to_dict(), cents("1"))
    spent = turn(session, calls(bash("printf hi")))
    equal(spent[-1].stop_reason.type, "budget_reached")
    usage = find(spent, "session.usage")[-1]
    equal((usage.usage.list_cost.to_dict(), usage.budget.to_dict()), ({"amount": "2", "currency": "USD"}, cents("1")))
    refused(400, "invalid_request_error", send, session, say("Go on."))
    with sessions.events.stream(session.id) as stream:
        equal(sessions.update(session.id, budget=cents("100")).budget.to_dict(), cents("100"))
        rest = until(stream, lambda e: e.type == "session.status_idle" and e.stop_reason.type == "end_turn")
    equal(text(find(rest, "agent.message")[-1]), "It said: hi")
    equal(sessions.update(session.id, budget=None).budget, None)
    refused(400, "invalid_request_error", sessions.update, session.id, budget=cents("5"))


@flow("outcomes")
def _():
    session = new_session()
    rubric = {"type": "text", "content": "It is in verse."}
    with sessions.events.stream(session.id) as stream:
        defined = send(session, [{"type": "user.define_outcome", "description": "A greeting.", "rubric": rubric, "max_iterations": 5}]).data[0]
        events = until(stream)
    ends = find(events, "span.outcome_evaluation_end")
    equal([(e.iteration, e.result) for e in ends], [(0, "needs_revision"), (1, "satisfied")])
    equal({e.outcome_id for e in ends}, {defined.outcome_id})
    evaluation = sessions.retrieve(session.id).outcome_evaluations[0]
    equal((evaluation.outcome_id, evaluation.result, evaluation.iteration), (defined.outcome_id, "satisfied", 1))


@flow("an agent with skills")
def _():
    about = b"---\nname: haiku\ndescription: Writes haiku.\n---\nFive, seven, five.\n"
    skill = beta.skills.create(files=[("haiku/SKILL.md", about)])
    agent = new_agent(skills=[{"type": "custom", "skill_id": skill.id}])
    session = sessions.create(agent=agent.id, environment_id=new_environment().id)
    events = turn(session, calls(bash("tail -1 /mnt/skills/haiku/SKILL.md")))
    equal(text(find(events, "agent.message")[0]), "It said: Five, seven, five.")


@flow("webhooks")
def _():
    secret = webhook("agent.created", "agent.archived")["secret"]
    made = new_agent().id
    agents.archive(made)
    heard = []
    while len(heard) < 2:
        got = message()
        event = beta.webhooks.unwrap(got["body"], headers=got["headers"], key=secret)
        equal(event.type, "event")
        if event.data.id == made:
            heard.append(event.data.type)
        try:
            beta.webhooks.unwrap(got["body"] + " ", headers=got["headers"], key=secret)
        except Exception:
            continue
        raise AssertionError("a changed body was taken")
    equal(sorted(heard), ["agent.archived", "agent.created"])
