package downloads

import "strings"

// Platform guesses the computer that a User-Agent header speaks of, as Go names
// it; both are empty for one that does not say.
func Platform(agent string) (system, arch string) {
	agent = strings.ToLower(agent)
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(agent, w) {
				return true
			}
		}
		return false
	}
	switch {
	case has("android", "iphone", "ipad"):
		return "", "" // no worker runs there
	case has("windows"):
		return "windows", "amd64" // also on arm64, which runs both
	case has("darwin", "macintosh", "mac os"):
		if has("x86_64", "amd64") {
			return "darwin", "amd64"
		}
		return "darwin", "arm64" // every browser says "Intel", whatever the computer is
	case !has("linux"):
		return "", ""
	case has("aarch64", "arm64"):
		return "linux", "arm64"
	case has("armv7", "armv8l"):
		return "linux", "armv7"
	}
	return "linux", "amd64"
}

// Newest returns the last listed of a program's files for a platform; nil: none.
func Newest(files []File, program, system, arch string) *File {
	var found *File
	for i, f := range files {
		if f.Program == program && f.OS == system && f.Arch == arch {
			found = &files[i]
		}
	}
	return found
}

// Command returns what fetches a worker, checks it and starts it, to paste into a
// shell (on Windows PowerShell). base is the server, as people reach it.
func Command(f File, base string) string {
	name := "firmlight-worker"
	from := base + "/download/" + f.Name
	if f.OS == "windows" {
		return `curl.exe -fLo ` + name + `.exe ` + from + `
if ((Get-FileHash ` + name + `.exe).Hash -ne "` + f.SHA256 + `") { throw "the download is damaged" }
$env:FIRMLIGHT_TOKEN = Read-Host "Worker token"
.\` + name + `.exe --server ` + base
	}
	check := "sha256sum -c"
	if f.OS == "darwin" {
		check = "shasum -a 256 -c"
	}
	return `curl -fLo ` + name + ` ` + from + ` &&
echo "` + f.SHA256 + `  ` + name + `" | ` + check + ` && chmod +x ` + name + ` &&
printf "Worker token: " && read -r FIRMLIGHT_TOKEN && export FIRMLIGHT_TOKEN &&
./` + name + ` --server ` + base
}
