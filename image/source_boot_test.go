package image

import (
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"landbridge/internal/netlab"
)

func TestUserDataOfAConfigDriveIsTaken(t *testing.T) {
	disk, _ := builtImage(t)
	drive := filepath.Join(t.TempDir(), "drive.iso")
	out, err := exec.CommandContext(t.Context(), "genisoimage", "-quiet", "-V", "config-2", "-J", "-R", "-o", drive, "-graft-points",
		"openstack/latest/user_data="+write(t, "user_data", "create-group: office\n"),
		"openstack/latest/meta_data.json="+write(t, "meta_data.json", `{"uuid": "x", "hostname": "site-c.novalocal", "name": "c"}`)).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	m := boot(t, netlab.ForTest(t).LAN("none").Host("machine"), disk, 128, append(outward(), "-drive", "file="+drive+",format=raw,if=virtio,readonly=on")...)
	m.until(t, "its group", m.shows("Group        office"))
	m.until(t, "its name", m.shows(" site-c\r\n"))
}

// QEMU's user network passes on what the machine asks of others to the host on which QEMU runs.
func TestUserDataOfACloudIsTaken(t *testing.T) {
	disk, _ := builtImage(t)
	host := netlab.ForTest(t).LAN("none").Host("machine")
	if _, err := host.Run(t.Context(), "ip", "address", "add", "169.254.169.254/32", "dev", "lo"); err != nil {
		t.Fatal(err)
	}
	door, err := host.Listen("tcp", "169.254.169.254:80")
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int64
	cloud := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		answers := map[string]string{
			"PUT /latest/api/token by ": "secret", "GET /latest/user-data by secret": "create-group: office\nntp: [192.0.2.123]\n",
			"GET /latest/meta-data/local-hostname by secret": "site-d.internal",
		}
		answer, ok := answers[r.Method+" "+r.URL.Path+" by "+r.Header.Get("X-Aws-Ec2-Metadata-Token")]
		if !ok {
			w.WriteHeader(http.StatusUnauthorized)
		}
		_, _ = w.Write([]byte(answer))
	})}
	go func() { _ = cloud.Serve(door) }()
	t.Cleanup(func() { _ = cloud.Close() })
	args := append([]string{"-smbios", "type=1,serial=ds=ec2"}, outward()...)
	for i, a := range args {
		args[i] = strings.Replace(a, "restrict=on,", "", 1)
	}
	m := boot(t, host, disk, 128, args...)
	t.Logf("the console answers %v after QEMU's start", m.until(t, "console", m.console(consoleAt)))
	t.Logf("its group is there %v after QEMU's start", m.until(t, "its group", m.shows("Group        office")))
	m.until(t, "its name", m.shows(" site-d\r\n"))
	if n := asked.Load(); n != 3 {
		t.Errorf("the cloud was asked %d times", n)
	}
}
