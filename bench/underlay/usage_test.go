package underlay

import (
	"os"
	"testing"
	"time"
)

func TestCPUTimeIsReadFromStatWhateverTheProgramIsCalled(t *testing.T) {
	for name, stat := range map[string]string{
		"plain":    "42 (edge) S 1 42 42 0 -1 4194560 1 2 3 4 150 50 7 3 20 0 1 0 100 1000 10 0",
		"brackets": "42 (a) b (c)) S 1 42 42 0 -1 4194560 1 2 3 4 150 50 7 3 20 0 1 0 100 1000 10 0",
	} {
		got, err := parseStat(stat)
		want := process{pid: 42, cpu: 2 * time.Second, waited: 100 * time.Millisecond}
		if err != nil || got != want {
			t.Errorf("%s: %+v (%v), want %+v", name, got, err, want)
		}
	}
	if got, err := parseStat("9 (kworker/0:1) I 2 0 0 0 -1 69238880 0 0 0 0 0 1 0 0 20 0 1 0 34 0 0 0"); err != nil || !got.kernel {
		t.Errorf("a kernel thread is %+v (%v)", got, err)
	}
	for _, stat := range []string{"", "42", "42 (edge) S 1 2", "x (edge) S 1 42 42 0 -1 4194560 1 2 3 4 150 50 7 3 20"} {
		if got, err := parseStat(stat); err == nil {
			t.Errorf("%q is %+v", stat, got)
		}
	}
}

func TestThisProcessIsFoundByItsEnvironment(t *testing.T) {
	all, err := list()
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range all {
		if q.pid != os.Getpid() {
			continue
		}
		if path := "PATH=" + os.Getenv("PATH"); !q.has(path) || q.has(path[:len(path)-1]) {
			t.Errorf("its environment is read as %q", q.environ)
		}
		now := q.status("VmRSS")
		most := q.status("VmHWM") // read later: it never falls
		if now < 1<<20 || most < now {
			t.Errorf("it takes %d bytes, at most %d", now, most)
		}
		return
	}
	t.Error("this process isn't in the list")
}

func TestOnlyKnownProfilesAreTaken(t *testing.T) {
	for _, p := range []Profile{Veth, NIC} {
		if got, err := ParseProfile(string(p)); got != p || err != nil {
			t.Errorf("%s: %v (%v)", p, got, err)
		}
	}
	if _, err := ParseProfile("wifi"); err == nil {
		t.Error("a profile that isn't there is taken")
	}
}
