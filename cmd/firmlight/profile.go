package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// defaultServer is asked where nobody has logged in yet.
const defaultServer = "http://127.0.0.1:8080"

// profile is a login to one server. Each has a file of its own, so that commands
// which renew tokens at the same time cannot undo each other's.
type profile struct {
	URL          string `json:"url"`
	Username     string `json:"username"`
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
}

// profiles is the directory of logins, and of the name of the server that
// commands mean when they name none.
type profiles struct{ dir string }

func openProfiles() (profiles, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return profiles{}, fmt.Errorf("no place for logins: %w", err)
	}
	return profiles{filepath.Join(dir, "firmlight")}, nil
}

// file is the path of a login; its name tells a person which.
func (p profiles) file(server string) string {
	return filepath.Join(p.dir, "servers", url.QueryEscape(server)+".json")
}

// get returns the login to a server; ok is false where there is none.
func (p profiles) get(server string) (login profile, ok bool, err error) {
	data, err := os.ReadFile(p.file(server))
	if errors.Is(err, fs.ErrNotExist) {
		return profile{}, false, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &login)
	}
	if err != nil {
		return profile{}, false, fmt.Errorf("%s: %w", p.file(server), err)
	}
	return login, true, nil
}

// put keeps a login.
func (p profiles) put(login profile) error {
	data, err := json.MarshalIndent(login, "", "  ") //nolint:gosec // G117: a file for secrets
	if err != nil {
		return err
	}
	return replace(p.file(login.URL), append(data, '\n'))
}

// forget drops the login to a server; that there is none is no error.
func (p profiles) forget(server string) error {
	err := os.Remove(p.file(server))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// all returns every login.
func (p profiles) all() ([]profile, error) {
	files, err := filepath.Glob(filepath.Join(p.dir, "servers", "*.json"))
	if err != nil {
		return nil, err
	}
	var logins []profile
	for _, f := range files {
		server, err := url.QueryUnescape(strings.TrimSuffix(filepath.Base(f), ".json"))
		if err != nil {
			continue // not one of ours
		}
		login, ok, err := p.get(server)
		if err != nil {
			return nil, err
		}
		if ok {
			logins = append(logins, login)
		}
	}
	return logins, nil
}

// current is the server that was logged in to last.
func (p profiles) current() string {
	data, err := os.ReadFile(filepath.Join(p.dir, "current"))
	if err != nil {
		return defaultServer
	}
	return strings.TrimSpace(string(data))
}

func (p profiles) setCurrent(server string) error {
	return replace(filepath.Join(p.dir, "current"), []byte(server+"\n"))
}

// replace writes a file that is the old one or the new one at any moment, and
// only its owner's to read.
func replace(name string, data []byte) (err error) {
	dir := filepath.Dir(name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

// serverURL returns a server's address in the one form that logins are kept by.
func serverURL(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.User != nil {
		return "", usage("%q is not the address of a server, such as https://tasks.example.org", text)
	}
	return u.Scheme + "://" + strings.ToLower(u.Host) + strings.TrimRight(u.Path, "/"), nil
}
