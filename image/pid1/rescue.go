package pid1

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"

	"landbridge/image/userdata"
)

// hands are what a person at the screen can have the machine do.
type hands interface {
	Page() string
	Network() userdata.Management
	// SetNetwork has the machine be reached so, as a file of user-data says it.
	SetNetwork(ctx context.Context, file []byte) error
	ResetPassword(ctx context.Context, user, password string) error
	Log() []byte
	// Rollback has the machine start by the other slot.
	Rollback(ctx context.Context) error
	FactoryReset()
	Restart()
	PowerOff()
}

// rescue serves a person at a terminal, who is trusted: whoever is at the machine's screen could
// take its disk.
type rescue struct {
	lines *bufio.Scanner
	out   io.Writer
	hands hands
	echo  func(on bool) // of what is typed
	busy  func(bool)
}

const menu = `
  1  network of the management port
  2  another password for a user of the console
  3  log
  4  restart
  5  power off
  6  start the other version (roll back)
  7  factory reset
  Enter  back
Choice: `

// serve waits for Enter, again and again, until the terminal is gone or ctx is done.
func (r *rescue) serve(ctx context.Context) {
	for ctx.Err() == nil && r.lines.Scan() {
		r.busy(true)
		r.say("%s", r.hands.Page())
		r.choose(ctx)
		r.busy(false)
	}
}

func (r *rescue) choose(ctx context.Context) {
	switch r.ask(menu) {
	case "":
		r.say("%s", r.hands.Page())
	case "1":
		r.network(ctx)
	case "2":
		r.password(ctx)
	case "3":
		r.say("%s", r.hands.Log())
	case "4":
		r.say("The machine restarts.\n")
		r.hands.Restart()
	case "5":
		r.say("The machine is switched off.\n")
		r.hands.PowerOff()
	case "6":
		if r.sure("Start the other version that is on the disk?") {
			r.told(r.hands.Rollback(ctx), "The machine restarts with the other version.")
		}
	case "7":
		if r.sure("Forget everything: groups, leases, users, and what this appliance was told?") {
			r.say("Everything is forgotten, and the machine restarts.\n")
			r.hands.FactoryReset()
		}
	default:
		r.say("There is no such choice.\n")
	}
}

func (r *rescue) say(format string, args ...any) { _, _ = fmt.Fprintf(r.out, format, args...) }

// ask asks for a line; the end of the terminal is an empty one.
func (r *rescue) ask(question string) string {
	r.say("%s", question)
	if !r.lines.Scan() {
		return ""
	}
	return strings.TrimSpace(r.lines.Text())
}

// sure asks for a whole word, as a choice that can't be undone isn't to be made by a slip.
func (r *rescue) sure(question string) bool {
	if r.ask(question+" Type yes: ") == "yes" {
		return true
	}
	r.say("Nothing is changed.\n")
	return false
}

func (r *rescue) told(err error, done string) {
	if err != nil {
		r.say("Nothing is changed: %v\n", err)
		return
	}
	r.say("%s\n", done)
}

func (r *rescue) network(ctx context.Context) {
	now := r.hands.Network()
	how := "DHCP"
	if now.Address.IsValid() {
		how = now.Address.String()
	}
	port := now.Port
	if port == "" {
		port = "the first port"
	}
	r.say("Now: %s, %s\n", port, how)
	var file strings.Builder
	set := func(key, value string) {
		if value != "" {
			fmt.Fprintf(&file, "%s: %q\n", key, value)
		}
	}
	address := r.ask("Address with the length of its network (192.168.1.5/24), or dhcp; Enter leaves all as it is: ")
	if address == "" {
		return
	}
	set("management-address", address)
	set("management-port", r.ask("Port (eth0); Enter for the first: "))
	if address != "dhcp" {
		set("management-gateway", r.ask("Gateway; Enter for none: "))
		if servers := strings.FieldsFunc(r.ask("DNS servers, separated by spaces; Enter for none: "), func(c rune) bool { return c == ' ' || c == ',' }); len(servers) > 0 {
			file.WriteString("dns:\n")
			for _, s := range servers {
				fmt.Fprintf(&file, "  - %q\n", s)
			}
		}
	}
	r.told(r.hands.SetNetwork(ctx, []byte(file.String())), "The management port is set.")
}

func (r *rescue) password(ctx context.Context) {
	user := r.ask("User: ")
	if user == "" {
		return
	}
	r.echo(false)
	password := r.ask("New password: ")
	again := r.ask("\nOnce more: ")
	r.echo(true)
	r.say("\n")
	switch {
	case password != again:
		r.say("Nothing is changed: these were two passwords.\n")
	case password == "":
		r.say("Nothing is changed.\n")
	default:
		r.told(r.hands.ResetPassword(ctx, user, password), printable(user)+" has the new password, and logs in without an authenticator's code.")
	}
}
