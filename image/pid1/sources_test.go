package pid1

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"landbridge/image/userdata"
)

// configDrive is a volume as OpenStack makes it, with these files below openstack/latest.
func configDrive(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	latest := filepath.Join(dir, "openstack", "latest")
	must(t, os.MkdirAll(latest, 0o700))
	for name, text := range files {
		must(t, os.WriteFile(filepath.Join(latest, name), []byte(text), 0o600))
	}
	return dir
}

func TestAConfigDriveHasUserDataAndAHostName(t *testing.T) {
	for name, c := range map[string]struct {
		files               map[string]string
		from, text, machine string
	}{
		"both":         {map[string]string{"user_data": "mode: interface\n", "meta_data.json": `{"uuid":"x","hostname":"Site-A.novalocal","name":"a"}`}, "config drive", "mode: interface\n", "site-a"},
		"a name alone": {map[string]string{"user_data": "\n", "meta_data.json": `{"name":"site-a"}`}, "config drive", "\n", "site-a"},
		"no metadata":  {map[string]string{"user_data": "name: b\n"}, "config drive", "name: b\n", "b"},
		"its own name": {map[string]string{"user_data": "name: b\n", "meta_data.json": `{"name":"site-a"}`}, "config drive", "name: b\n", "b"},
		"no name":      {map[string]string{"user_data": "{}", "meta_data.json": `{"hostname":"über uns"}`}, "config drive", "{}", ""},
		"no JSON":      {map[string]string{"user_data": "{}", "meta_data.json": `{"hostname":`}, "config drive", "{}", ""},
		"no user-data": {map[string]string{"meta_data.json": `{"name":"site-a"}`}, "", "", ""},
	} {
		s := readConfigDrive(configDrive(t, c.files))
		if s.from != c.from || string(s.userData) != c.text {
			t.Errorf("%s: %+v", name, s)
		}
		dir := t.TempDir()
		for range 2 { // the second time it is what was kept
			if d, wrong := configured(dir, func() seed { return s }); len(wrong) > 0 || d.Name != c.machine || strings.Join(d.Settings["name"], "") != c.machine {
				t.Errorf("%s: %+v, %v", name, d, wrong)
			}
		}
	}
}

func TestTheHostNameOfACloudIsNoOtherSetting(t *testing.T) {
	told, err := userdata.Parse("u", []byte("mode: router\nlan-port: eth1\n"))
	must(t, err)
	if d := called(told, "site-a.example.com\n"); d.Name != "site-a" || len(d.Settings) != 3 || len(told.Settings) != 2 {
		t.Errorf("%+v of %+v", d, told)
	}
	for _, none := range []string{"", ".", "--", "a b", "a\nmode: router", strings.Repeat("a", 64)} {
		if d := called(told, none); d.Name != "" {
			t.Errorf("%q makes it %q", none, d.Name)
		}
	}
}

func TestVolumesCountInTheirOrder(t *testing.T) {
	var labels []string
	for _, v := range volumeSeeds() {
		labels = append(labels, v.label)
	}
	if got := strings.Join(labels, " "); got != "cidata config-2" {
		t.Error(got)
	}
}

func TestWhatIsNoFileIsNotWaitedFor(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "user-data")
	must(t, unix.Mkfifo(pipe, 0o600))
	read := make(chan seed, 1)
	go func() { read <- readSeed(dir, "user-data", "", "here") }()
	select {
	case s := <-read:
		if s.from != "" {
			t.Errorf("%+v", s)
		}
	case <-time.After(time.Minute):
		t.Error("a start waits for a pipe")
	}
}

func FuzzTheHostNameOfMetadata(f *testing.F) {
	f.Add([]byte(`{"uuid":"x","hostname":"site-a.novalocal","name":"a","meta":{"k":"v"}}`))
	f.Add([]byte(`{"name":"--"}`))
	f.Fuzz(func(t *testing.T, meta []byte) {
		d := called(userdata.Data{}, hostNameOf(meta))
		if d.Name == "" {
			return
		}
		if _, err := userdata.Parse("u", []byte("name: \""+d.Name+"\"\n")); err != nil {
			t.Errorf("%q: %v", d.Name, err)
		}
	})
}
