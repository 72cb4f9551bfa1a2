package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// manPages returns the manual's pages by the names of their files, one for each command: what its help says, in
// the language of man(7). The program itself doesn't use it (make deb).
func manPages(root *cobra.Command) map[string]string {
	pages := map[string]string{}
	var add func(*cobra.Command)
	add = func(cmd *cobra.Command) {
		pages[pageName(cmd)+".1"] = manPage(cmd)
		for _, below := range cmd.Commands() {
			if below.IsAvailableCommand() {
				add(below)
			}
		}
	}
	add(root)
	return pages
}

// pageName returns the name of a command's page, as git has them.
func pageName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

func manPage(cmd *cobra.Command) string {
	var b strings.Builder
	section := func(title string) { fmt.Fprintf(&b, ".SH %s\n", title) }
	fmt.Fprintf(&b, ".TH %s 1 \"\" \"Landbridge %s\" \"Landbridge\"\n", roff(strings.ToUpper(pageName(cmd))), roff(programVersion()))
	section("NAME")
	fmt.Fprintf(&b, "%s \\- %s\n", roff(pageName(cmd)), roff(cmd.Short))
	section("SYNOPSIS")
	fmt.Fprintf(&b, ".B %s\n", roff(cmd.UseLine()))
	section("DESCRIPTION")
	if cmd.Long == "" {
		b.WriteString(roff(cmd.Short) + ".\n")
	}
	b.WriteString(manText(cmd.Long))
	if below := manCommands(cmd); below != "" {
		section("COMMANDS")
		b.WriteString(below)
	}
	flags := manFlags(cmd.NonInheritedFlags()) + manFlags(cmd.InheritedFlags())
	if flags != "" {
		section("OPTIONS")
		b.WriteString(flags)
	}
	if cmd.Example != "" {
		section("EXAMPLES")
		fmt.Fprintf(&b, ".EX\n%s\n.EE\n", roff(cmd.Example))
	}
	if cmd.HasParent() {
		section("SEE ALSO")
		fmt.Fprintf(&b, ".BR %s (1)\n", roff(pageName(cmd.Parent())))
	}
	return b.String()
}

// manCommands lists the commands below one.
func manCommands(cmd *cobra.Command) string {
	var b strings.Builder
	for _, below := range cmd.Commands() {
		if below.IsAvailableCommand() {
			fmt.Fprintf(&b, ".TP\n.BR %s (1)\n%s\n", roff(pageName(below)), roff(below.Short))
		}
	}
	return b.String()
}

// manFlags lists flags, with their defaults.
func manFlags(flags *pflag.FlagSet) string {
	var b strings.Builder
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		kind, usage := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "[]" {
			usage += " (default " + f.DefValue + ")"
		}
		fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", roff(strings.TrimSpace(name+" "+kind)), roff(usage))
	})
	return b.String()
}

// manText is text of a help: paragraphs, which are filled, and lines that begin with a blank, which stay.
func manText(text string) string {
	var b strings.Builder
	asIs := false
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		if indented := strings.HasPrefix(line, " "); indented != asIs {
			b.WriteString(map[bool]string{true: ".EX\n", false: ".EE\n"}[indented])
			asIs = indented
		}
		if line == "" {
			b.WriteString(".PP\n")
			continue
		}
		b.WriteString(roff(line) + "\n")
	}
	if asIs {
		b.WriteString(".EE\n")
	}
	return b.String()
}

// roff returns a text in which nothing is a request or an escape of roff(7), and hyphens are those that are typed.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'") {
			lines[i] = `\&` + l
		}
	}
	return strings.Join(lines, "\n")
}
