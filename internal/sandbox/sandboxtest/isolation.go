package sandboxtest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

func (s suite) isolation(t *testing.T) {
	t.Run("TheEnvironmentIsClean", func(t *testing.T) {
		t.Parallel()
		p := s.open(t, func(spec *core.SandboxSpec) { spec.Env = map[string]string{"GIVEN": "it's mine", "LANG": "C"} })
		var names []string
		for line := range strings.Lines(p.bash("env").Output) {
			name, _, _ := strings.Cut(line, "=")
			names = append(names, name)
		}
		slices.Sort(names)
		names = slices.DeleteFunc(names, func(n string) bool { return n == "TMPDIR" })
		if got, want := strings.Join(names, " "), "GIVEN HOME LANG PATH PWD SHLVL TERM USER _"; got != want {
			t.Errorf("variables = %s, want %s", got, want)
		}
		p.says("echo $GIVEN $LANG $TERM $USER", "it's mine C dumb agent\n")
	})
	t.Run("TheServersEnvironmentIsNotToBeFound", func(t *testing.T) {
		t.Parallel()
		s.need(t, HostFiles)
		secret := os.Getenv("PATH") // the one variable that the server surely has from its own start
		p := s.open(t)
		for _, command := range []string{"cat /proc/[0-9]*/environ", fmt.Sprintf("cat /proc/%d/environ /proc/%d/task/*/environ", os.Getpid(), os.Getppid())} {
			res := p.bash(command + " 2>/dev/null | tr '\\0' '\\n' | grep -v '^PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin$'")
			if contains(res.Output, "PATH="+secret) || contains(res.Output, "GOPATH") || contains(res.Output, "HOME="+os.Getenv("HOME")+"\n") {
				t.Errorf("%s shows %.300q", command, res.Output)
			}
		}
	})
	t.Run("NoDescriptorsAreInherited", func(t *testing.T) {
		t.Parallel()
		p := s.open(t)
		p.says("ls /proc/self/fd | tr '\\n' ' '", "0 1 2 3 ") // 3 is ls's own
		p.says("readlink /proc/self/fd/0", "/dev/null\n")
	})
	t.Run("HostFilesCannotBeReadOrWritten", s.hostFiles)
	t.Run("NothingOutsideIsWritable", func(t *testing.T) {
		t.Parallel()
		s.need(t, HostFiles)
		p := s.open(t)
		p.says("for d in / /etc /usr /usr/bin /usr/local/bin /var /run /home /root /opt /boot /sys /proc /proc/sys/kernel /dev; do touch $d/planted 2>/dev/null && echo $d; done; true", "")
		p.says("echo 1 2>/dev/null >/proc/sys/kernel/core_pattern || echo no", "no\n")
		p.says("touch $HOME/here ${TMPDIR:-/tmp}/there && echo yes", "yes\n")
		for _, path := range []string{"/planted", "/etc/planted", "/usr/bin/planted", "/etc/passwd", "/root/planted"} {
			if _, err := p.WriteFile(t.Context(), path, []byte("x")); core.KindOf(err) != core.Invalid {
				t.Errorf("WriteFile(%s) = %v, want Invalid", path, err)
			}
		}
	})
	t.Run("Processes", func(t *testing.T) {
		t.Parallel()
		p := s.open(t)
		if !slices.Contains(s.except, HostFiles) {
			p.says(fmt.Sprintf("kill -0 %d 2>/dev/null || echo no", os.Getpid()), "no\n")
		}
		s.need(t, Processes)
		res := p.bash("ls -d /proc/[0-9]* | wc -l")
		if n := strings.TrimSpace(res.Output); n != "2" && n != "3" && n != "4" {
			t.Errorf("%s processes are visible, want the guest, the shell, ls and wc", n)
		}
	})
	t.Run("TwoSandboxesAreStrangers", func(t *testing.T) {
		t.Parallel()
		s.need(t, HostFiles)
		a, b := s.open(t), s.open(t)
		a.says("echo secret >own; chmod 777 . own; sleep 1000 & echo $! >pid", "")
		pid := strings.TrimSpace(a.bash("cat pid").Output)
		if res := b.bash("cat " + a.folder + "/own"); res.ExitCode == 0 {
			t.Errorf("one session reads the other's file: %q", res.Output)
		}
		b.bash("kill -9 " + pid + " -1 2>/dev/null")
		a.says("kill -0 "+pid+" && echo alive", "alive\n")
	})
	t.Run("NoNetwork", s.noNetwork)
	t.Run("WithNetwork", s.withNetwork)
	t.Run("TheFilterRefuses", func(t *testing.T) {
		t.Parallel()
		s.need(t, Filter)
		p := s.open(t)
		p.says("unshare -Ur true 2>/dev/null || echo no", "no\n")
		p.says("unshare -m true 2>/dev/null || echo no", "no\n")
		p.says("mount -t tmpfs none $HOME 2>/dev/null || echo no", "no\n")
		p.says("grep Seccomp: /proc/self/status | cut -f2; grep NoNewPrivs /proc/self/status | cut -f2; grep CapEff /proc/self/status | cut -f2", "2\n1\n0000000000000000\n")
	})
}

func (s suite) hostFiles(t *testing.T) {
	t.Parallel()
	s.need(t, HostFiles)
	p := s.open(t)
	outside := t.TempDir()
	secrets := map[string]os.FileMode{
		filepath.Join(p.data, "reeve.db"):     0o644,
		filepath.Join(p.data, "secret"):       0o600,
		filepath.Join(outside, "open-to-all"): 0o666,
	}
	for path, mode := range secrets {
		if err := os.WriteFile(path, []byte("top secret"), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{outside, filepath.Dir(outside)} {
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	i := 0
	for path := range secrets {
		i++
		link := fmt.Sprintf("link%d", i)
		p.says("ln -s "+path+" "+link, "")
		for _, name := range []string{path, link, "/workspace/../../../../../../" + path, "/proc/self/root" + path, "/proc/1/root" + path, "/proc/self/cwd/../../" + filepath.Base(path)} {
			if res := p.bash("cat '" + name + "' 2>&1"); contains(res.Output, "top secret") {
				t.Errorf("the shell reads %s", name)
			}
			if got, err := p.ReadFile(t.Context(), name, 1000); contains(string(got), "top secret") || core.KindOf(err) != core.Invalid {
				t.Errorf("ReadFile(%s) = %q, %v; want Invalid", name, got, err)
			}
		}
		p.bash("echo overwritten >" + link)
		_, _ = p.WriteFile(t.Context(), link, []byte("overwritten"))
		if got, err := os.ReadFile(path); err != nil || string(got) != "top secret" {
			t.Errorf("%s now holds %q, %v", path, got, err)
		}
	}
	p.says("ln -s "+outside+" dir", "")
	_, _ = p.WriteFile(t.Context(), "dir/planted", []byte("x"))
	if _, err := os.Stat(filepath.Join(outside, "planted")); err == nil {
		t.Error("WriteFile went through a symlink to the host")
	}
	if got, _, _ := p.Glob(t.Context(), "dir", "**", 10); len(got) > 0 && !strings.HasPrefix(got[0], "/workspace/dir/planted") {
		t.Errorf("Glob through a symlink = %q", got)
	}
	if got, _, _ := p.Grep(t.Context(), "dir", "top", 1000); len(got) > 0 {
		t.Errorf("Grep through a symlink = %q", got)
	}
	if res := p.bash("ls /root/ /home/*/ /var/lib /etc/ssl/private 2>/dev/null; cat /etc/shadow 2>/dev/null"); res.Output != "" {
		t.Errorf("private folders show %q", res.Output)
	}
}

func (s suite) noNetwork(t *testing.T) {
	t.Parallel()
	s.need(t, Network)
	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tcp.Close() }()
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = udp.Close() }()
	p := s.open(t)
	p.says(fmt.Sprintf("(exec 5<>/dev/tcp/127.0.0.1/%d) 2>/dev/null && echo connected; true", tcp.Addr().(*net.TCPAddr).Port), "")
	p.bash(fmt.Sprintf("(echo leaked >/dev/udp/127.0.0.1/%d) 2>/dev/null", udp.LocalAddr().(*net.UDPAddr).Port))
	p.bash("(echo leaked >/dev/udp/8.8.8.8/53) 2>/dev/null && echo sent")
	// Ours comes after whatever the sandbox could send.
	out, err := net.Dial("udp4", udp.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	if _, err := out.Write([]byte("ours")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	_ = udp.SetReadDeadline(time.Now().Add(10 * time.Second))
	n, _, err := udp.ReadFrom(buf)
	if err != nil || string(buf[:n]) != "ours" {
		t.Errorf("the first datagram is %q, %v; want ours alone", buf[:n], err)
	}
}
