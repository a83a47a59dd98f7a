"""The official client's own worker for self-hosted environments."""

import asyncio
import os
import signal

from anthropic import AsyncAnthropic
from anthropic.lib.environments import EnvironmentWorker
from anthropic.lib.tools.agent_toolset import beta_agent_toolset_20260401


async def main():
    worker = EnvironmentWorker(
        AsyncAnthropic(),
        environment_id=os.environ["ANTHROPIC_ENVIRONMENT_ID"],
        environment_key=os.environ["ANTHROPIC_ENVIRONMENT_KEY"],
        tools=beta_agent_toolset_20260401,
        workdir=os.environ["SUITE_WORKDIR"],
        max_idle=0.3,
    )
    task = asyncio.ensure_future(worker.run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        pass


asyncio.run(main())
