package appliance

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"landbridge/console"
	"landbridge/console/api"
	"landbridge/dns"
	"landbridge/internal/registry"
)

// aliasTimeout bounds waiting for the members that keep the aliases.
const aliasTimeout = 5 * time.Second

// Aliases lists the aliases of all groups.
func (n *node) Aliases(context.Context) ([]api.Alias, error) {
	all := []api.Alias{}
	for _, nw := range n.running() {
		for _, a := range nw.registry.Aliases() {
			all = append(all, nw.alias(a))
		}
	}
	return all, nil
}

// alias describes an alias.
func (n *network) alias(a registry.Alias) api.Alias {
	return api.Alias{Group: n.id.String(), Name: a.Name, Full: a.Name + "." + n.membership.Descriptor().Zone, Target: a.StandsFor(), SetBy: a.By, SetAt: a.At.UTC()}
}

// SetAlias sets an alias in the whole group.
func (n *node) SetAlias(ctx context.Context, name string, req api.AliasSet, by string) (api.Alias, error) {
	nw, err := n.choose(req.Group)
	if err != nil {
		return api.Alias{}, err
	}
	zone := nw.membership.Descriptor().Zone
	a := registry.Alias{By: by}
	if a.Name, err = labelIn(zone, name); err == nil && dns.IsReserved(a.Name) {
		err = fmt.Errorf("%s is one of the names that the resolver itself answers (ns, and C with nine digits of an address): choose another", a.Name)
	}
	if err != nil {
		return api.Alias{}, console.Invalid(err, api.FieldError{Field: "name", Detail: err.Error()})
	}
	if a.Addr, err = netip.ParseAddr(req.Target); err != nil {
		if a.Target, err = labelIn(zone, req.Target); err != nil {
			err = fmt.Errorf("%w, or an address, as 10.9.0.7", err)
			return api.Alias{}, console.Invalid(err, api.FieldError{Field: "target", Detail: err.Error()})
		}
	}
	ctx, cancel := context.WithTimeout(ctx, aliasTimeout)
	defer cancel()
	was, err := nw.registry.SetAlias(ctx, a)
	if err != nil {
		return api.Alias{}, nw.explainAlias(err)
	}
	if now, ok := nw.registry.Alias(a.Name); ok {
		a = now
	}
	out := nw.alias(a)
	out.Before = was.StandsFor()
	return out, nil
}

// RemoveAlias removes an alias from the whole group.
func (n *node) RemoveAlias(ctx context.Context, group, name, _ string) (api.Alias, error) {
	nw, err := n.choose(group)
	if err != nil {
		return api.Alias{}, err
	}
	label, err := labelIn(nw.membership.Descriptor().Zone, name)
	if err != nil {
		return api.Alias{}, console.Invalid(err, api.FieldError{Field: "name", Detail: err.Error()})
	}
	ctx, cancel := context.WithTimeout(ctx, aliasTimeout)
	defer cancel()
	was, err := nw.registry.RemoveAlias(ctx, label)
	if err != nil {
		return api.Alias{}, nw.explainAlias(err)
	}
	out := nw.alias(was)
	out.Before = out.Target
	return out, nil
}

// labelIn reads a name of the zone as a person writes it, with the zone or without, and returns
// its label.
func labelIn(zone, name string) (string, error) {
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	label := strings.TrimSuffix(name, "."+strings.ToLower(strings.TrimSuffix(zone, ".")))
	switch checked, err := hostLabel(label); {
	case strings.Contains(label, "."):
		return "", fmt.Errorf("%s is no name of the zone %s: want one label of it, as printer-2", name, zone)
	case err != nil:
		return "", err
	case checked == "":
		return "", errors.New("want a name of the zone " + zone + ", as printer-2")
	default:
		return checked, nil
	}
}

// explainAlias says what a refusal means, and who is missing where a quorum is.
func (n *network) explainAlias(err error) error {
	wait := errors.Is(err, registry.ErrNoQuorum) || errors.Is(err, registry.ErrContended) || errors.Is(err, context.DeadlineExceeded)
	if !wait {
		return n.explain(err)
	}
	var keepers []string
	for _, m := range n.registry.AliasKeepers() {
		keepers = append(keepers, n.memberName(m))
	}
	return console.Unavailable(fmt.Errorf("too few of the members that keep the aliases of this group could be asked in time (%s): when most of them can be reached, try again; landbridge names shows whether it was done (%w)",
		strings.Join(keepers, ", "), err))
}

// explainFault says which field of an alias, or of a name that is one, is wrong.
func explainFault(e *registry.AliasError) error {
	field := api.FieldError{Field: e.Field, Detail: e.Text}
	switch e.Fault {
	case registry.AliasMissing:
		return console.NotFound(e)
	case registry.AliasConflict:
		return console.Conflict(e, field)
	}
	return console.Invalid(e, field)
}
