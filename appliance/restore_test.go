package appliance

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"landbridge/console/access"
	"landbridge/console/api"
	"landbridge/internal/group"
	"landbridge/internal/registry"
)

// withGroup makes a state with a group and an administrator, and returns it with a copy of it.
func withGroup(t *testing.T, dir, group string) (*Offline, []byte) {
	t.Helper()
	o, err := OpenOffline(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.CreateGroup(t.Context(), api.GroupCreate{Name: group, Prefix: "100.80.0.0/20"}); err != nil {
		t.Fatal(err)
	}
	users, err := access.Open(o.state.db, access.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := users.CreateUser(t.Context(), api.UserCreate{Name: "alice", Role: api.RoleAdministrator, Password: "correct horse battery"}); err != nil {
		t.Fatal(err)
	}
	if err := noteBackup(o.state.db, "1.2.3", time.Now()); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := o.state.db.Backup(&b); err != nil {
		t.Fatal(err)
	}
	return o, b.Bytes()
}

// groupsOf returns the names of a state's groups, which is opened as a start does.
func groupsOf(t *testing.T, dir string) string {
	t.Helper()
	o, err := OpenOffline(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	groups, err := o.Groups(t.Context())
	if err := errors.Join(err, o.Close()); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, g := range groups {
		names = append(names, g.Name)
	}
	return strings.Join(names, " ")
}

func TestACopyIsRestoredByTheNextStartAndNotBefore(t *testing.T) {
	dir := t.TempDir()
	o, copied := withGroup(t, dir, "office")
	if _, err := o.Leave(t.Context(), "office", true); err != nil {
		t.Fatal(err)
	}
	if _, err := o.CreateGroup(t.Context(), api.GroupCreate{Name: "lab", Prefix: "100.90.0.0/20"}); err != nil {
		t.Fatal(err)
	}
	r, err := o.CheckRestore(t.Context(), bytes.NewReader(copied))
	if err != nil {
		t.Fatal(err)
	}
	if !r.SameAppliance || r.Version != "1.2.3" || r.Made.IsZero() || len(r.Groups) != 2 || r.Groups[0].Change != api.RestoreChangeGoes || r.Groups[1].Change != api.RestoreChangeComes ||
		!r.Groups[1].Authority || strings.Join(r.Users, ",") != "alice (administrator)" || !strings.Contains(strings.Join(r.Dangers, "\n"), "The group lab isn't in the copy") {
		t.Errorf("it is said to change\n%+v", r)
	}
	if err := o.ApplyRestore(t.Context(), "another"); err == nil || !strings.Contains(err.Error(), "uploaded meanwhile") {
		t.Errorf("another copy than that which was looked at: %v", err)
	}
	if err := o.Close(); err != nil { // or a kill: nothing is done at the end
		t.Fatal(err)
	}
	if got := groupsOf(t, dir); got != "lab" {
		t.Fatalf("without a yes it is in %q", got)
	}

	o, err = OpenOffline(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(o.ApplyRestore(t.Context(), r.ID), o.Close()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got := groupsOf(t, dir); got != "office" {
			t.Errorf("after the restore it is in %q", got)
		}
	}
	former := filepath.Join(t.TempDir(), "former")
	if err := os.Mkdir(former, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, formerFile), filepath.Join(former, databaseFile)); err != nil {
		t.Fatal(err)
	}
	if got := groupsOf(t, former); got != "lab" {
		t.Errorf("what was before is kept as %q", got)
	}
}

// A kill between the renames of a restore, or before them.
func TestARestoreThatWasKilledIsDoneByTheNextStart(t *testing.T) {
	for name, harm := range map[string]func(t *testing.T, dir string){
		"after the yes": func(*testing.T, string) {},
		"after the link": func(t *testing.T, dir string) {
			must(t, os.Link(filepath.Join(dir, databaseFile), filepath.Join(dir, formerFile)))
		},
		"with rubbish of an upload": func(t *testing.T, dir string) {
			must(t, os.WriteFile(filepath.Join(dir, uploadFile), []byte("half"), 0o600))
			must(t, os.WriteFile(filepath.Join(dir, importedFile), []byte("half"), 0o600))
		},
		"with a damaged state": func(t *testing.T, dir string) {
			must(t, os.WriteFile(filepath.Join(dir, databaseFile), []byte("rubbish"), 0o600))
		},
		"with no state": func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, databaseFile))) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			o, copied := withGroup(t, dir, "office")
			r, err := o.CheckRestore(t.Context(), bytes.NewReader(copied))
			must(t, err)
			_, err = o.Leave(t.Context(), "office", true)
			must(t, err)
			must(t, errors.Join(o.ApplyRestore(t.Context(), r.ID), o.Close()))
			harm(t, dir)
			if got := groupsOf(t, dir); got != "office" || !missing(filepath.Join(dir, uploadFile)) || !missing(filepath.Join(dir, importedFile)) {
				t.Errorf("it is in %q, and there are %v", got, filesIn(t, dir))
			}
		})
	}
}

// Where nobody has a shell, as at the image, nothing else would get it started again.
func TestACopyThatCannotBeStartedWithIsUndoneOnce(t *testing.T) {
	dir := t.TempDir()
	o, copied := withGroup(t, dir, "office")
	r, err := o.CheckRestore(t.Context(), bytes.NewReader(copied))
	must(t, err)
	_, err = o.Leave(t.Context(), "office", true)
	must(t, err)
	must(t, errors.Join(o.ApplyRestore(t.Context(), r.ID), o.Close()))

	unfit := errors.New("there is no port eth9 here")
	start := func() error { // as Run does where the checks before a start fail
		s, err := openState(dir)
		must(t, err)
		err = undoRestore(s, unfit)
		must(t, s.db.Close())
		return err
	}
	if err := start(); !errors.Is(err, unfit) || !strings.Contains(err.Error(), "is back for the next start") {
		t.Errorf("the first start says: %v", err)
	}
	if got := groupsOf(t, dir); got != "" {
		t.Errorf("the next start is with the copy: in %q", got)
	}
	if missing(filepath.Join(dir, unfitFile)) {
		t.Error("the copy is gone")
	}
	if err := start(); err.Error() != unfit.Error() {
		t.Errorf("a start without a restore says: %v", err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsNoCopyOfAStateIsRefusedAndChangesNothing(t *testing.T) {
	dir := t.TempDir()
	o, copied := withGroup(t, dir, "office")
	for name, b := range map[string][]byte{"nothing": nil, "text": []byte("hello"), "the half": copied[:len(copied)/2]} {
		if r, err := o.CheckRestore(t.Context(), bytes.NewReader(b)); err == nil || !strings.Contains(err.Error(), "no whole copy") || strings.Contains(err.Error(), "away") || strings.Contains(err.Error(), uploadFile) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	if _, err := o.state.restores.waiting(); err == nil {
		t.Error("something waits to be restored")
	}
	must(t, o.Close())
	if files := filesIn(t, dir); len(files) != 1 || groupsOf(t, dir) != "office" {
		t.Errorf("in the directory: %v", files)
	}
}

func filesIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	must(t, err)
	for _, f := range files {
		names = append(names, f.Name())
	}
	return names
}

// While the state's file system is full no lease can be committed.
func TestACopyThatWouldFillTheDiskIsRefused(t *testing.T) {
	dir := t.TempDir()
	o, copied := withGroup(t, dir, "office")
	free := uint64(len(copied))*3 + 3
	o.state.restores.free = func(string) (uint64, error) { return free, nil }
	_, err := o.CheckRestore(t.Context(), bytes.NewReader(copied))
	must(t, err)
	free = uint64(len(copied)) * 2
	if _, err := o.CheckRestore(t.Context(), bytes.NewReader(copied)); err == nil || !strings.Contains(err.Error(), "of what is free") {
		t.Errorf("too large a copy: %v", err)
	}
	if files := filesIn(t, dir); len(files) != 1 {
		t.Errorf("in the directory: %v", files)
	}
	must(t, o.Close())
}

// A kill may come at any moment, and what waits then may be restored.
func TestACopyWaitsOnceItIsWhole(t *testing.T) {
	dir := t.TempDir()
	o, copied := withGroup(t, dir, "office")
	seen := make(chan []byte, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer close(seen)
		for ctx.Err() == nil {
			if b, err := os.ReadFile(filepath.Join(dir, checkedFile)); err == nil {
				seen <- b
				return
			}
		}
	}()
	_, err := o.CheckRestore(t.Context(), bytes.NewReader(copied))
	must(t, err)
	whole, err := os.ReadFile(filepath.Join(dir, checkedFile))
	must(t, err)
	cancel()
	if b, ok := <-seen; ok && !bytes.Equal(b, whole) {
		t.Errorf("%d bytes of %d waited to be restored", len(b), len(whole))
	}
	must(t, o.Close())
}

func TestAnotherAppliancesCopyAndAnOlderOneAreToldAsSuch(t *testing.T) {
	_, foreign := withGroup(t, t.TempDir(), "office")
	o := openOffline(t)
	r, err := o.CheckRestore(t.Context(), bytes.NewReader(foreign))
	must(t, err)
	if said := strings.Join(r.Dangers, "\n"); r.SameAppliance || !strings.Contains(said, "of another appliance") || !strings.Contains(said, "nobody here knows") {
		t.Errorf("%+v", r)
	}
	id := group.ID{1}
	now := summary{groups: map[group.ID]groupSummary{id: {name: "office", roster: 5, authority: true, registry: registry.Survey{Age: 12}}}}
	then := summary{groups: map[group.ID]groupSummary{id: {name: "office", roster: 3, authority: true, registry: registry.Survey{Age: 9}}}}
	if said := strings.Join(compare(now, then).Dangers, "\n"); !strings.Contains(said, "(3 changes)") || !strings.Contains(said, "makes a fork") {
		t.Errorf("of an older copy: %s", said)
	}
}

func TestNobodyIsLoggedInAfterARestore(t *testing.T) {
	dir := t.TempDir()
	o, _ := withGroup(t, dir, "office")
	users, err := access.Open(o.state.db, access.Options{})
	must(t, err)
	session, err := users.Login(t.Context(), access.Credentials{Name: "alice", Password: "correct horse battery"})
	must(t, err)
	var copied bytes.Buffer
	must(t, o.state.db.Backup(&copied))
	r, err := o.CheckRestore(t.Context(), &copied)
	must(t, err)
	must(t, errors.Join(o.ApplyRestore(t.Context(), r.ID), o.Close()))
	o, err = OpenOffline(dir, slog.New(slog.DiscardHandler))
	must(t, err)
	defer o.Close()
	users, err = access.Open(o.state.db, access.Options{})
	must(t, err)
	if id, err := users.Authenticate(access.Identity{}, session.Cookie, true); err != nil || id.Known() {
		t.Errorf("the session of the copy is %+v, %v", id, err)
	}
	entries, _, err := users.Entries(0, 10)
	must(t, err)
	if len(entries) == 0 || entries[0].Operation != "applyRestore" || entries[0].User != "root" {
		t.Errorf("the audit log says %+v", entries)
	}
}

// An invitation that leaked and was revoked since would be good again, and uses since would count no more.
func TestInvitationsOfACopyAdmitNobody(t *testing.T) {
	dir := t.TempDir()
	o, _ := withGroup(t, dir, "office")
	authority := func() *group.Authority {
		t.Helper()
		memberships, err := o.state.memberships()
		must(t, err)
		a, err := authorityOf(o.state.db, memberships[0].Group())
		must(t, err)
		return a
	}
	_, leaked, err := authority().Issue(group.Terms{Life: time.Hour, Uses: 5}, time.Now())
	must(t, err)
	_, _, err = authority().Issue(group.Terms{Life: time.Hour}, time.Now())
	must(t, err)
	var copied bytes.Buffer
	must(t, o.state.db.Backup(&copied))
	_, err = authority().Revoke(leaked.ID, time.Now())
	must(t, err)
	r, err := o.CheckRestore(t.Context(), &copied)
	must(t, err)
	if said := strings.Join(r.Dangers, "\n"); !strings.Contains(said, "open in the copy (2)") {
		t.Errorf("it is said: %s", said)
	}
	must(t, errors.Join(o.ApplyRestore(t.Context(), r.ID), o.Close()))
	o, err = OpenOffline(dir, slog.New(slog.DiscardHandler))
	must(t, err)
	defer o.Close()
	all, err := authority().Invitations()
	must(t, err)
	if len(all) != 2 || slices.ContainsFunc(all, func(i group.Issued) bool { return i.Open(time.Now()) }) {
		t.Errorf("after the restore there are %+v", all)
	}
}
