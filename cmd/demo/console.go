package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"

	"landbridge/console/api"
)

// consoleAddr is where an appliance's console listens, on its own machine alone.
const consoleAddr = "127.0.0.1:4861"

// firstPort is where this machine's browser finds the first console; the others follow.
const firstPort = 4861

// consoles makes the appliances' consoles reachable from this machine, until ctx is done, and tells where: the
// authority's first, which alone invites and changes settings.
func (d *demo) consoles(ctx context.Context) {
	d.view.say("  A console for each appliance (the browser warns, as the certificates are the appliances' own):")
	for i, b := range d.boxes {
		url, code, err := d.openConsole(ctx, b, firstPort+i)
		if err != nil {
			d.view.say("    %s: no console: %v", strings.ToUpper(b.Name), err)
			continue
		}
		d.view.say("    %s  setup code %s   # %s, %s: %s", d.view.paint(bold, url), d.view.paint(bold, code), strings.ToUpper(b.Name), b.role, b.shows)
	}
	d.view.say("  Begin with the first; set a password there, and look around.\n")
}

// openConsole makes an appliance's console reachable from this machine, where the browser is,
// until ctx is done: at this port, or at another one where it is taken. It returns
// the URL, and the code that the first visitor is asked for.
func (d *demo) openConsole(ctx context.Context, b *box, port int) (url, code string, err error) {
	var about api.Console
	if err := b.landbridgeJSON(ctx, &about, "console"); err != nil {
		return "", "", err
	}
	var listen net.ListenConfig
	l, err := listen.Listen(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		if l, err = listen.Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
			return "", "", fmt.Errorf("open the console of %s: %w", b.Name, err)
		}
	}
	context.AfterFunc(ctx, func() { _ = l.Close() })
	go func() {
		for {
			browser, err := l.Accept()
			if err != nil {
				return // closed
			}
			go b.carry(ctx, browser)
		}
	}()
	return fmt.Sprintf("https://%v/", l.Addr()), about.SetupCode, nil
}

// carry carries a browser's connection to the console of the box, and closes both when one ends.
func (b *box) carry(ctx context.Context, browser net.Conn) {
	defer browser.Close()
	console, err := b.Dial(ctx, "tcp", consoleAddr)
	if err != nil {
		return
	}
	defer console.Close()
	stop := context.AfterFunc(ctx, func() { _ = console.Close() })
	defer stop()
	go func() {
		_, _ = io.Copy(console, browser)
		_ = console.Close()
	}()
	_, _ = io.Copy(browser, console)
}
