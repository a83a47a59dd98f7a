"""What sessions use: files, skills, vaults, memory stores, deployments, and the queue of workers."""

import hashlib

from suite import beta, client, equal, flow, major, new_agent, new_environment, refused, say

sessions = beta.sessions


@flow("files")
def _():
    files = beta.files
    made = files.upload(file=("a.txt", b"hello", "text/plain"))
    equal((made.filename, made.mime_type, made.size_bytes), ("a.txt", "text/plain", 5))
    other = files.upload(file=("b.txt", b"x"))
    equal(files.retrieve_metadata(made.id).id, made.id)
    equal(files.download(made.id).read(), b"hello")
    listed = [f.id for f in files.list(limit=1)]
    assert listed.index(other.id) < listed.index(made.id)
    if hasattr(client, "files"):
        equal(client.files.retrieve_metadata(made.id).filename, "a.txt")
    gone = files.delete(made.id)
    equal((gone.id, gone.type), (made.id, "file_deleted"))
    refused(404, "not_found_error", files.retrieve_metadata, made.id)


@flow("skills")
def _():
    skills = beta.skills

    def folder(description):
        return [
            ("notes/SKILL.md", f"---\nname: notes\ndescription: {description}\n---\nWrite notes.\n".encode()),
            ("notes/scripts/run.py", b"print(1)"),
        ]

    label = "display_name" if major >= 1 else "display_title"
    made = skills.create(files=folder("first"), **{label: "Notes"})
    equal(getattr(made, label), "Notes")
    second = skills.versions.create(made.id, files=folder("second"))
    equal(second.description, "second")
    reference = getattr(second, "version", None) or second.id
    equal(skills.versions.retrieve(reference, skill_id=made.id).description, "second")
    equal([v.description for v in skills.versions.list(made.id, limit=1)], ["second", "first"])
    archive = skills.versions.download(reference, skill_id=made.id).read()
    equal(archive[:2], b"PK")
    packed = skills.create(files=[("notes.zip", archive, "application/zip")])
    unpacked = list(skills.versions.list(packed.id))[0]
    equal((unpacked.name, unpacked.description), ("notes", "second"))
    equal(skills.retrieve(made.id).id, made.id)
    assert made.id in [s.id for s in skills.list(limit=1)]
    equal(skills.versions.delete(reference, skill_id=made.id).type, "skill_version_deleted")
    equal(skills.delete(packed.id).type, "skill_deleted")
    refused(404, "not_found_error", skills.retrieve, packed.id)
    refused(400, "invalid_request_error", skills.create, files=[("notes/README.md", b"x")])


@flow("vaults")
def _():
    vaults = beta.vaults
    credentials = vaults.credentials
    vault = vaults.create(display_name="Keys", metadata={"a": "1"}).id
    bearer_auth = {"type": "static_bearer", "mcp_server_url": "https://tracker.example.com/mcp", "token": "very-secret"}
    bearer = credentials.create(vault, display_name="Tracker", auth=bearer_auth)
    equal((bearer.auth.type, bearer.auth.mcp_server_url), ("static_bearer", "https://tracker.example.com/mcp"))
    refused(409, "conflict_error", credentials.create, vault, auth=bearer_auth)
    variable = credentials.create(vault, auth={
        "type": "environment_variable", "secret_name": "API_KEY", "secret_value": "hidden",
        "networking": {"type": "limited", "allowed_hosts": ["api.example.com"]},
    })
    equal((variable.auth.injection_location.header, variable.auth.injection_location.body), (True, True))
    oauth_auth = {"type": "mcp_oauth", "mcp_server_url": "https://mail.invalid/mcp", "access_token": "at"}
    oauth = credentials.create(vault, auth=oauth_auth)
    equal(credentials.mcp_oauth_validate(oauth.id, vault_id=vault).has_refresh_token, False)
    renamed = credentials.update(bearer.id, vault_id=vault, display_name="Renamed", auth={"type": "static_bearer", "token": "newer"})
    equal(renamed.display_name, "Renamed")
    assert "newer" not in credentials.retrieve(bearer.id, vault_id=vault).to_json()
    equal(len(list(credentials.list(vault, limit=1))), 3)
    assert credentials.archive(variable.id, vault_id=vault).archived_at
    equal(credentials.delete(oauth.id, vault_id=vault).type, "vault_credential_deleted")
    equal(vaults.update(vault, display_name="Safe", metadata={"a": None, "b": "2"}).metadata, {"b": "2"})
    equal(vaults.retrieve(vault).display_name, "Safe")
    assert vault in [v.id for v in vaults.list(limit=1)]
    session = sessions.create(agent=new_agent().id, environment_id=new_environment().id, vault_ids=[vault])
    equal(session.vault_ids, [vault])
    assert vaults.archive(vault).archived_at
    equal(vaults.delete(vault).type, "vault_deleted")


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


@flow("memory stores")
def _():
    stores = beta.memory_stores
    memories, versions = stores.memories, stores.memory_versions
    store = stores.create(name="Facts", description="What we know.").id
    made = memories.create(store, path="/people/ada.md", content="one")
    equal(made.content_sha256, digest("one"))
    memories.create(store, path="/top.md", content="")
    refused(409, "memory_path_conflict_error", memories.create, store, path="/top.md", content="x")
    condition = {"type": "content_sha256", "content_sha256": digest("one")}
    changed = memories.update(made.id, memory_store_id=store, content="two", precondition=condition)
    equal(changed.content_sha256, digest("two"))
    refused(409, "memory_precondition_failed_error", memories.update, made.id, memory_store_id=store, content="three", precondition=condition)
    equal(memories.retrieve(made.id, memory_store_id=store).content, "two")
    equal([(m.type, m.path) for m in memories.list(store, depth=1, limit=1)], [("memory_prefix", "/people/"), ("memory", "/top.md")])
    listed = list(versions.list(store, memory_id=made.id, limit=1))
    equal([v.operation for v in listed], ["modified", "created"])
    equal(versions.retrieve(listed[1].id, memory_store_id=store).content, "one")
    assert versions.redact(listed[1].id, memory_store_id=store).redacted_at
    refused(400, "invalid_request_error", versions.redact, listed[0].id, memory_store_id=store)
    refused(409, "memory_precondition_failed_error", memories.delete, made.id, memory_store_id=store, expected_content_sha256=digest("one"))
    equal(memories.delete(made.id, memory_store_id=store, expected_content_sha256=digest("two")).type, "memory_deleted")
    equal(stores.update(store, name="Known").name, "Known")
    equal(stores.retrieve(store).name, "Known")
    assert store in [s.id for s in stores.list(limit=1)]
    assert stores.archive(store).archived_at
    equal(stores.delete(store).type, "memory_store_deleted")


@flow("deployments")
def _():
    deployments, runs = beta.deployments, beta.deployment_runs
    agent = new_agent().id
    made = deployments.create(
        name="Nightly", agent=agent, environment_id=new_environment().id, initial_events=say("Good night."),
        schedule={"type": "cron", "expression": "0 3 * * 1-5", "timezone": "Europe/Oslo"},
    )
    equal((made.status, made.agent.version, len(made.schedule.upcoming_runs_at)), ("active", 1, 5))
    equal(deployments.pause(made.id).paused_reason.type, "manual")
    run = deployments.run(made.id)
    equal((run.error, run.trigger_context.type), (None, "manual"))
    equal(sessions.retrieve(run.session_id).deployment_id, made.id)
    equal(runs.retrieve(run.id).session_id, run.session_id)
    equal([r.id for r in runs.list(deployment_id=made.id)], [run.id])
    equal([s.id for s in sessions.list(deployment_id=made.id)], [run.session_id])
    equal(deployments.unpause(made.id).status, "active")
    equal(deployments.update(made.id, name="Weekly", schedule=None).schedule, None)
    equal(deployments.retrieve(made.id).name, "Weekly")
    assert made.id in [d.id for d in deployments.list(agent_id=agent)]
    assert deployments.archive(made.id).archived_at
    refused(400, "invalid_request_error", deployments.run, made.id)


@flow("the work queue")
def _():
    work = beta.environments.work
    environment = new_environment(config={"type": "self_hosted"}).id
    equal(work.poll(environment, block_ms=1), None)
    session = sessions.create(agent=new_agent().id, environment_id=environment)
    item = work.poll(environment, block_ms=500)
    equal((item.state, item.data.id), ("queued", session.id))
    of = {"environment_id": environment}
    equal(work.stats(environment).pending, 1)
    equal(work.ack(item.id, **of).state, "starting")
    beat = work.heartbeat(item.id, expected_last_heartbeat="NO_HEARTBEAT", **of)
    equal((beat.state, beat.lease_extended), ("active", True))
    refused(412, "precondition_failed_error", work.heartbeat, item.id, expected_last_heartbeat="NO_HEARTBEAT", **of)
    assert work.heartbeat(item.id, expected_last_heartbeat=beat.last_heartbeat, **of).lease_extended
    equal(work.update(item.id, metadata={"host": "a"}, **of).metadata, {"host": "a"})
    equal(work.retrieve(item.id, **of).state, "active")
    equal([w.id for w in work.list(environment, limit=1)], [item.id])
    work.stop(item.id, force=True, **of)
    refused(409, "conflict_error", work.stop, item.id, **of)
    equal(work.retrieve(item.id, **of).state, "stopped")
