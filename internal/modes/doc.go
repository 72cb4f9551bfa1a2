// Package modes decides how an appliance is attached, and switches that: a switch is planned,
// applied, verified, and then undone by itself unless somebody confirms it in time, so that nobody
// cuts himself off for good.
//
// It is not for attaching anything, nor for finding out whether it works: the [Appliance] does
// that. Nor does it know how people ask for a switch; its refusals are [Error].
//
//   - [Mode], [Setup]: the three modes, and one with the LAN port that it needs.
//   - [Survey]: what a switch depends on. Survey.Plan says what it does, or why it can't be. Pure.
//   - [Record]: what the state says, and how a start takes that. Pure, but for Read and Write.
//   - [Switcher]: one switch at a time, from Run to Commit or Back.
//
// # A switch
//
//	            Run                    it works                Commit
//	settled ─────────────▶ Applying ──────────────▶ Waiting ─────────────▶ settled, as To says
//	   ▲      on disk:         │                       │         on disk:
//	   │      Pending          │ it fails              │ Back,   Committed
//	   │                       ▼                       │ or nobody confirms it in time
//	   └─────────────────── Returning ◀────────────────┘
//	     as it was before       ╰─╯ tried until it succeeds
//
// Whatever ends the program meanwhile, the next start finds on disk what to begin with: what is
// Committed.
package modes
