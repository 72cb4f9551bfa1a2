package console

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"

	"landbridge/console/api"
)

// Names is the aliases of an Appliance's groups. by is who orders it.
type Names interface {
	// Aliases lists those of all groups.
	Aliases(ctx context.Context) ([]api.Alias, error)
	// SetAlias and RemoveAlias take the name with or without the zone. They wait some seconds for
	// the members that keep the aliases.
	SetAlias(ctx context.Context, name string, req api.AliasSet, by string) (api.Alias, error)
	RemoveAlias(ctx context.Context, group, name, by string) (api.Alias, error)
}

// maxDomain is the longest domain name, as text (RFC 1035 section 2.3.4).
const maxDomain = 255

// nameKey is a name's place in the listing.
type nameKey struct {
	Name   string `json:"n"`
	Group  string `json:"g"`
	Target string `json:"t"`
}

func (k nameKey) compare(o nameKey) int {
	return cmp.Or(strings.Compare(k.Name, o.Name), strings.Compare(k.Group, o.Group), strings.Compare(k.Target, o.Target))
}

func (k nameKey) cursor() string {
	text, err := json.Marshal(k)
	if err != nil { // unreachable: text
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// nameQuery is a checked request for a page of names.
type nameQuery struct {
	search string // in lower case
	group  string // a group ID; empty for all
	kind   api.NameKind
	after  *nameKey
	limit  int
}

// nameRow is a name that may be listed: a host's, or an alias.
type nameRow struct {
	key   nameKey
	lease LeaseRow
	alias *api.Alias // nil for a host
}

// ListNames returns one page of names.
func (h *handlers) ListNames(ctx context.Context, req api.ListNamesRequestObject) (api.ListNamesResponseObject, error) {
	q, err := h.nameQuery(ctx, req.Params)
	if err != nil {
		return nil, err
	}
	var unheard []string
	if q.kind != api.NameKindAlias {
		unheard = h.appliance.HearAll(ctx)
	}
	leases, err := h.appliance.Leases(ctx, true)
	if err != nil {
		return nil, err
	}
	aliases, err := h.appliance.Aliases(ctx)
	if err != nil {
		return nil, err
	}
	groups, err := h.appliance.Groups(ctx)
	if err != nil {
		return nil, err
	}
	zones := make(map[string]string)
	for _, g := range groups {
		zones[g.ID] = g.Zone
	}
	list := q.page(leases, aliases, zones)
	list.Unheard = unheard
	return api.ListNames200JSONResponse(list), nil
}

func (h *handlers) nameQuery(ctx context.Context, p api.ListNamesParams) (nameQuery, error) {
	var c checker
	q := nameQuery{search: strings.ToLower(p.Search), kind: p.Kind, limit: defaultPage}
	c.bounds(p)
	c.oneOf("kind", string(p.Kind), p.Kind.Valid(), "host, reserved or alias")
	if p.Limit != nil {
		q.limit = *p.Limit
	}
	if p.Cursor != "" {
		raw, err := base64.RawURLEncoding.DecodeString(p.Cursor)
		if err == nil {
			err = json.Unmarshal(raw, &q.after)
		}
		if err != nil {
			c.add("cursor", "want the next of the page before, unchanged")
		}
	}
	if err := c.err(); err != nil {
		return nameQuery{}, err
	}
	group, err := h.groupID(ctx, p.Group)
	q.group = group
	return q, err
}

// page returns the page that q asks for. It keeps no more than a page of rows, however many
// there are.
func (q nameQuery) page(leases iter.Seq[LeaseRow], aliases []api.Alias, zones map[string]string) api.NameList {
	list := api.NameList{Items: []api.Name{}}
	var kept []nameRow
	add := func(r nameRow) {
		list.Total++
		if q.after != nil && r.key.compare(*q.after) <= 0 || len(kept) > q.limit && r.key.compare(kept[q.limit].key) >= 0 {
			return
		}
		i, _ := slices.BinarySearchFunc(kept, r.key, func(o nameRow, k nameKey) int { return o.key.compare(k) })
		kept = slices.Insert(kept, i, r)
		kept = kept[:min(len(kept), q.limit+1)] // one more shows whether another page follows
	}
	taken := make(map[[2]string]bool)
	for i := range aliases {
		a := &aliases[i]
		taken[[2]string{a.Group, a.Name}] = true
		if q.wants(a.Group, api.NameKindAlias) && q.finds(a.Full, a.Target, a.SetBy) {
			add(nameRow{key: nameKey{a.Name, a.Group, ""}, alias: a})
		}
	}
	search := newFinder(q.search)
	for w := range leases {
		if w.Name == "" || !q.wants(w.Group, nameKind(&w)) || w.State != api.LeaseStateLeased && w.State != api.LeaseStateReserved {
			continue
		}
		if q.search == "" || search.in(&w) || strings.Contains(w.Name+"."+zones[w.Group], q.search) {
			add(nameRow{key: nameKey{w.Name, w.Group, w.Address.String()}, lease: w})
		}
	}
	if len(kept) > q.limit {
		kept = kept[:q.limit]
		list.Next = kept[q.limit-1].key.cursor()
	}
	for i := range kept {
		r := &kept[i]
		list.Items = append(list.Items, r.describe(zones[r.key.Group], taken[[2]string{r.key.Group, r.key.Name}]))
	}
	return list
}

func nameKind(w *LeaseRow) api.NameKind {
	if w.State == api.LeaseStateReserved {
		return api.NameKindReserved
	}
	return api.NameKindHost
}

func (q nameQuery) wants(group string, kind api.NameKind) bool {
	return (q.group == "" || q.group == group) && (q.kind == "" || q.kind == kind)
}

func (q nameQuery) finds(texts ...string) bool {
	return q.search == "" || slices.ContainsFunc(texts, func(t string) bool { return strings.Contains(strings.ToLower(t), q.search) })
}

// describe puts a row into words. hidden: there is an alias of that name.
func (r *nameRow) describe(zone string, hidden bool) api.Name {
	if a := r.alias; a != nil {
		return api.Name{Group: a.Group, Name: a.Name, Full: a.Full, Kind: api.NameKindAlias, Target: a.Target, SetBy: a.SetBy, Since: a.SetAt}
	}
	w := &r.lease
	n := api.Name{
		Group: w.Group, Name: w.Name, Full: fullName(w.Name, zone), Kind: nameKind(w), Target: w.Address.String(), MemberID: w.Member,
		MemberName: w.MemberName, Elsewhere: w.Elsewhere, Hidden: hidden,
	}
	if !w.Start.IsZero() {
		n.Since = w.Start.UTC()
	}
	return n
}

func fullName(name, zone string) string {
	if zone == "" {
		return name
	}
	return fmt.Sprintf("%s.%s", name, strings.TrimSuffix(zone, "."))
}

// SetAlias sets an alias.
func (h *handlers) SetAlias(ctx context.Context, req api.SetAliasRequestObject) (api.SetAliasResponseObject, error) {
	var c checker
	c.length("name", req.Name, 1, maxDomain)
	c.bounds(req.Body)
	if err := c.err(); err != nil {
		return nil, err
	}
	a, err := h.appliance.SetAlias(ctx, req.Name, *req.Body, by(ctx))
	if err != nil {
		return nil, err
	}
	return api.SetAlias200JSONResponse(a), nil
}

// RemoveAlias removes an alias.
func (h *handlers) RemoveAlias(ctx context.Context, req api.RemoveAliasRequestObject) (api.RemoveAliasResponseObject, error) {
	var c checker
	c.length("name", req.Name, 1, maxDomain)
	c.bounds(req.Params)
	if err := c.err(); err != nil {
		return nil, err
	}
	a, err := h.appliance.RemoveAlias(ctx, req.Params.Group, req.Name, by(ctx))
	if err != nil {
		return nil, err
	}
	return api.RemoveAlias200JSONResponse(a), nil
}
