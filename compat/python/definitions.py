"""Agents, environments, sessions, models, and lists of them."""

from suite import beta, client, count, equal, flow, model, new_agent, new_environment, refused, say, send, toolset

agents, environments, sessions = beta.agents, beta.environments, beta.sessions


@flow("agents")
def _():
    made = new_agent(description="Helps.", metadata={"team": "a", "site": "x"})
    equal((made.version, made.tools[0].default_config.permission_policy.type), (1, "always_allow"))
    merged = agents.update(made.id, version=1, metadata={"team": "b", "site": None})
    equal((merged.version, merged.system, merged.metadata), (2, "Be brief.", {"team": "b"}))
    cleared = agents.update(made.id, version=2, system=None, tools=[], description="")
    equal((cleared.version, cleared.system, cleared.tools), (3, None, []))
    equal(agents.update(made.id, version=3, name="Helper").version, 3)
    equal(agents.retrieve(made.id).version, 3)
    equal(agents.retrieve(made.id, version=1).system, "Be brief.")
    equal([a.version for a in agents.versions.list(made.id, limit=2)], [3, 2, 1])
    assert agents.archive(made.id).archived_at
    refused(400, "invalid_request_error", agents.update, made.id, version=3, name="Other")
    assert made.id not in [a.id for a in agents.list(limit=100)]
    assert made.id in [a.id for a in agents.list(limit=100, include_archived=True)]


@flow("a stale version")
def _():
    made = new_agent()
    agents.update(made.id, version=1, name="Second")
    before = count(f"/v1/agents/{made.id}")
    refused(409, "conflict_error", agents.update, made.id, version=1, name="Third")
    equal(count(f"/v1/agents/{made.id}") - before, 1)  # requests of an update that cannot work


@flow("lists while others insert")
def _():
    old = [new_agent(name=f"Listed {i}").id for i in range(5)][::-1]
    seen = []
    page = agents.list(limit=2)
    while True:
        seen += [a.id for a in page.data]
        new_agent(name="Inserted")
        if not page.has_next_page():
            break
        page = page.get_next_page()
    equal(len(set(seen)), len(seen))
    equal([i for i in seen if i in old], old)


@flow("environments")
def _():
    config = {"type": "cloud", "networking": {"type": "limited", "allowed_hosts": ["example.com"]}}
    made = new_environment(description="A box.", metadata={"a": "1", "b": "2"}, config=config)
    equal((made.config.networking.allow_mcp_servers, made.config.packages.pip), (False, []))
    changed = environments.update(made.id, name="crate", metadata={"a": None})
    equal((changed.name, changed.metadata, changed.config), ("crate", {"b": "2"}, made.config))
    equal(environments.retrieve(made.id), changed)
    assert made.id in [e.id for e in environments.list(limit=2)]
    assert environments.archive(made.id).archived_at
    equal(environments.delete(made.id).type, "environment_deleted")
    refused(404, "not_found_error", environments.retrieve, made.id)


@flow("sessions")
def _():
    agent = new_agent()
    agents.update(agent.id, version=1, system="Be long.")
    environment = new_environment().id
    newest = sessions.create(agent=agent.id, environment_id=environment, title="One", metadata={"k": "v"})
    equal((newest.status, newest.agent.version), ("idle", 2))
    pinned = sessions.create(agent={"type": "agent", "id": agent.id, "version": 1}, environment_id=environment)
    equal(pinned.agent.system, "Be brief.")
    overrides = {"type": "agent_with_overrides", "id": agent.id, "system": "Be kind.", "tools": []}
    overridden = sessions.create(agent=overrides, environment_id=environment)
    equal((overridden.agent.system, overridden.agent.tools), ("Be kind.", []))
    equal(agents.retrieve(agent.id).system, "Be long.")
    begun = sessions.create(agent=agent.id, environment_id=environment, initial_events=say("Hello"))
    equal(begun.status, "running")

    updated = sessions.update(newest.id, title="Two", metadata={"k": None, "l": "w"})
    equal((updated.title, updated.metadata), ("Two", {"l": "w"}))
    ids = [s.id for s in (newest, pinned, overridden, begun)]

    def listed(**query):
        return [s.id for s in sessions.list(agent_id=agent.id, limit=2, **query)]

    equal(listed(order="asc"), ids)
    equal(listed(), ids[::-1])
    equal(listed(agent_version=1), [pinned.id])
    assert newest.id in listed(statuses=["idle"])
    refused(409, "conflict_error", environments.delete, environment)

    equal(sessions.archive(newest.id).status, "terminated")
    refused(400, "invalid_request_error", send, newest, say("Hello?"))
    assert newest.id not in listed()
    equal(sessions.delete(pinned.id).type, "session_deleted")
    refused(404, "not_found_error", sessions.retrieve, pinned.id)


@flow("models")
def _():
    assert model in [m.id for m in beta.models.list(limit=1000)]
    equal(len(client.models.list(limit=2).data), 2)
    equal(beta.models.retrieve(model).id, model)


@flow("errors")
def _():
    refused(404, "not_found_error", agents.retrieve, "agent_011CZkYpogX7uDKUyvBTophP")
    refused(400, "invalid_request_error", agents.create, name="", model=model, tools=[toolset])
    stranger = client.with_options(api_key="sk-ant-wrong")
    refused(401, "authentication_error", stranger.beta.agents.list)
