package health

import (
	"fmt"
	"testing"
	"time"
)

func warning(component, key, text string) Trouble {
	return Trouble{Component: component, Key: key, Finding: Finding{Text: text, Remedy: "see"}}
}

func grave(component, key, text string) Trouble {
	t := warning(component, key, text)
	t.Level = Error
	return t
}

func TestTroublesAreListedWorstFirstUntilTheyEnd(t *testing.T) {
	var b Book
	start := time.Now()
	b.Report(warning("registry", "address", "first words"), start)
	b.Report(grave("router", "device", "worse"), start.Add(time.Second))
	b.Report(warning("registry", "address", "newer words"), start.Add(2*time.Second))

	items := b.Items()
	if len(items) != 2 || items[0].Component != "router" {
		t.Fatalf("troubles %+v, want the router's error first of two", items)
	}
	if w := items[1]; w.Count != 2 || !w.Since.Equal(start) || w.Text != "newer words" {
		t.Errorf("a trouble seen twice: %+v", w)
	}
	if all := b.All(); len(all) != 2 || all[ID{"registry", "address"}] != items[1] {
		t.Errorf("by what they are: %+v", all)
	}
	b.Clear("router", "device")
	b.Clear("registry", "address")
	if items := b.Items(); len(items) != 0 {
		t.Errorf("after their end: %+v", items)
	}
}

func TestTroublesAreBounded(t *testing.T) {
	var b Book
	for i := range 10 * maxTroubles {
		b.Report(warning("overlay", fmt.Sprint(i), fmt.Sprint(i)), time.Now())
	}
	if n := len(b.Items()); n != maxTroubles {
		t.Errorf("%d troubles are kept, want %d", n, maxTroubles)
	}
}

func TestErrorsAreToldHoweverManyWarningsThereAre(t *testing.T) {
	var b Book
	now := time.Now()
	for i := range maxTroubles {
		b.Report(warning("arp", fmt.Sprint(i), fmt.Sprint(i)), now.Add(time.Duration(i)*time.Second))
	}
	b.Report(grave("lan", "port", "it has gone"), now.Add(time.Hour))
	items := b.Items()
	if len(items) != maxTroubles || items[0].Text != "it has gone" {
		t.Errorf("of %d troubles the first is %+v", len(items), items[0])
	}
	if last := items[len(items)-1]; last.Text != fmt.Sprint(maxTroubles-2) {
		t.Errorf("it isn't the warning that came last that gave way: %+v", last)
	}
	for i := range 2 * maxTroubles {
		b.Report(grave("lan", fmt.Sprint(i), fmt.Sprint("error ", i)), now.Add(time.Hour))
	}
	if n := len(b.Items()); n != maxTroubles {
		t.Errorf("%d troubles are kept, want %d", n, maxTroubles)
	}
}

func TestEachGroupHasItsTroublesAndTheSameWordsAreSaidOnce(t *testing.T) {
	var b Book
	one, two := b.Of("aa"), b.Of("bb")
	for _, p := range []Part{one, two} {
		p.Report(grave("lan", "port", "it has gone"), time.Now())
	}
	if n := len(b.Items()); n != 1 || len(b.All()) != 2 {
		t.Errorf("%d of %d are told, want one of two", n, len(b.All()))
	}
	one.Clear("lan", "port")
	b.Report(warning("mode", "pending", "it waits"), time.Now())
	if n := len(b.Items()); n != 2 {
		t.Errorf("%d are told once the other group's is over", n)
	}
	two.Forget()
	if items := b.Items(); len(items) != 1 || items[0].Component != "mode" {
		t.Errorf("once the other group was left: %+v", items)
	}
}

func TestALogHasTheRemedyToo(t *testing.T) {
	for want, f := range map[string]Finding{"It is off. Turn it on.": {Text: "It is off.", Remedy: "Turn it on."}, "It is off.": {Text: "It is off."}} {
		if f.String() != want {
			t.Errorf("%+v is %q", f, f)
		}
	}
}
