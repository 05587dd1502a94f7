package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// completionCmd prints a script that has the shell ask the hidden command
// __complete, which knows the grammar as it is. (Libraries for this exist; those
// for kong rest since 2023, and bring more code than this file has.)
type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help says what to do with it.
func (completionCmd) Help() string {
	return `bash, in ~/.bashrc:                    source <(firmlight completion bash)
zsh, in ~/.zshrc, after compinit:      source <(firmlight completion zsh)
fish, in ~/.config/fish/config.fish:   firmlight completion fish | source`
}

// Words that the program does not know are names of files.
var completionScripts = map[string]string{
	"bash": `_firmlight() {
	local IFS=$'\n'
	COMPREPLY=($(firmlight __complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f1))
}
complete -o default -F _firmlight firmlight
`,
	"zsh": `_firmlight() {
	local -a found
	found=("${(@f)$(firmlight __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
	found=("${(@)found/$'\t'/:}")
	if [[ -n "$found" ]]; then _describe firmlight found; else _files; fi
}
compdef _firmlight firmlight
`,
	"fish": `function __firmlight
	set -l found (firmlight __complete -- (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null)
	if test (count $found) -gt 0
		printf '%s\n' $found
	else
		__fish_complete_path (commandline -ct)
	end
end
complete -c firmlight -f -a '(__firmlight)'
`,
}

func (c *completionCmd) Run(e *env) error {
	_, err := fmt.Fprint(e.out, completionScripts[c.Shell])
	return err
}

type completeCmd struct {
	Words []string `arg:"" optional:"" help:"What was typed; the last word is to be completed."`
}

func (c *completeCmd) Run(e *env, model *kong.Application) error {
	for _, w := range complete(model.Node, c.Words) {
		if _, err := fmt.Fprintf(e.out, "%s\t%s\n", w.word, w.help); err != nil {
			return err
		}
	}
	return nil
}

// candidate is a word that may come next.
type candidate struct{ word, help string }

// complete returns what the last of the words can become.
func complete(node *kong.Node, words []string) []candidate {
	last := ""
	if len(words) > 0 {
		last, words = words[len(words)-1], words[:len(words)-1]
	}
	var value *kong.Value // whose value the next word is
	place := 0            // of the next positional
	for _, w := range words {
		switch {
		case value != nil:
			value = nil
		case strings.HasPrefix(w, "-"):
			if f := flagOf(node, w); f != nil && !f.IsBool() {
				value = f.Value
			}
		default:
			i := slices.IndexFunc(node.Children, func(n *kong.Node) bool { return n.Name == w })
			if i < 0 {
				place++
				continue
			}
			node, place = node.Children[i], 0
		}
	}
	var all []candidate
	switch {
	case value != nil:
		all = enum(value)
	case strings.HasPrefix(last, "-"):
		all = flags(node)
	default:
		for _, n := range node.Children {
			if !n.Hidden {
				all = append(all, candidate{n.Name, n.Help})
			}
		}
		if place < len(node.Positional) {
			all = append(all, enum(node.Positional[place])...)
		}
	}
	return slices.DeleteFunc(all, func(c candidate) bool { return !strings.HasPrefix(c.word, last) })
}

// flagOf returns the flag that a word is, without a value in the same word.
func flagOf(node *kong.Node, word string) *kong.Flag {
	if node.DefaultCmd != nil {
		node = node.DefaultCmd
	}
	for _, group := range node.AllFlags(false) {
		for _, f := range group {
			if word == "--"+f.Name || f.Short != 0 && word == "-"+string(f.Short) {
				return f
			}
		}
	}
	return nil
}

func flags(node *kong.Node) []candidate {
	var all []candidate
	if node.DefaultCmd != nil {
		node = node.DefaultCmd
	}
	for _, group := range node.AllFlags(true) {
		for _, f := range group {
			all = append(all, candidate{"--" + f.Name, f.Help})
		}
	}
	return all
}

func enum(v *kong.Value) []candidate {
	var all []candidate
	for _, word := range v.EnumSlice() {
		if word != "" {
			all = append(all, candidate{word, ""})
		}
	}
	return all
}
