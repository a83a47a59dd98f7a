package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/reeve-ai/reeve/internal/client"
)

// workload is one kind of thing that a benchmark measures.
type workload struct {
	noun string
	each int // how many of them one measured request does; 0: one
	// run is one client, until ctx ends. That end is no failure.
	run func(b *bench, ctx context.Context) ([]time.Duration, error)
}

// prepare makes what every client needs: an agent with a key, an environment.
func (b *bench) prepare(ctx context.Context) error {
	made, err := client.NewOtas(b.base, b.flags.token, b.http).CreateAgent(ctx, "", "Bench", "Made by reeve bench", "Reeve")
	if err != nil {
		return fmt.Errorf("register the agent: %w", err)
	}
	agent, err := b.client.Agent(ctx, made.Agent.ID)
	if err != nil {
		return fmt.Errorf("find the agent: %w", err)
	}
	agent, err = b.client.UpdateAgent(ctx, agent.ID, client.AgentParams{Version: agent.Version, Model: b.flags.model, System: "Answer in one word."})
	if err != nil {
		return fmt.Errorf("give the agent its model: %w", err)
	}
	env, err := b.client.CreateEnvironment(ctx, "bench")
	if err != nil {
		return fmt.Errorf("create the environment: %w", err)
	}
	b.agent, b.agentKey, b.environment = agent.ID, made.Key.APIKey, env.ID
	return nil
}

// turns sends messages to sessions of its own until ctx ends.
func (b *bench) turns(ctx context.Context) (times []time.Duration, err error) {
	for ctx.Err() == nil {
		done, err := b.sessionOfTurns(ctx)
		times = append(times, done...)
		if err != nil {
			return times, unlessOver(ctx, err)
		}
	}
	return times, nil
}

// unlessOver drops the error of a request that the end of the measurement cut off.
func unlessOver(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (b *bench) sessionOfTurns(ctx context.Context) (times []time.Duration, err error) {
	session, err := b.client.CreateSession(ctx, b.agent, b.environment, "")
	if err != nil {
		return nil, fmt.Errorf("open a session: %w", err)
	}
	stream, err := b.client.Stream(ctx, session.ID)
	if err != nil {
		return nil, fmt.Errorf("open its stream: %w", err)
	}
	defer func() { _ = stream.Close() }()
	for range b.flags.perSession {
		began := time.Now()
		if err := b.client.Send(ctx, session.ID, "Go on."); err != nil {
			return times, fmt.Errorf("send a message: %w", err)
		}
		last, err := stream.UntilIdle(nil)
		if err != nil {
			return times, err
		}
		if last.StopReason == nil || last.StopReason.Type != "end_turn" {
			return times, fmt.Errorf("a turn did not end well: %s", last.Type)
		}
		times = append(times, time.Since(began))
	}
	return times, nil
}

// observed opens sessions as an agent that runs elsewhere.
func (b *bench) observed(ctx context.Context) ([]time.Duration, error) {
	return repeat(ctx, func() error {
		_, err := client.OpenSession(ctx, b.base, b.agentKey, map[string]any{"task": "bench"}, b.http)
		return err
	})
}

// managed opens managed sessions.
func (b *bench) managed(ctx context.Context) ([]time.Duration, error) {
	return repeat(ctx, func() error {
		_, err := b.client.CreateSession(ctx, b.agent, b.environment, "")
		return err
	})
}

func repeat(ctx context.Context, once func() error) (times []time.Duration, err error) {
	for ctx.Err() == nil {
		began := time.Now()
		if err := once(); err != nil {
			return times, unlessOver(ctx, fmt.Errorf("open a session: %w", err))
		}
		times = append(times, time.Since(began))
	}
	return times, nil
}
