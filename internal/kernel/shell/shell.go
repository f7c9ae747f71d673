// SPDX-License-Identifier: Apache-2.0

// Package shell writes the commands in messages, which people paste into a shell.
//
// A name that a person chose can contain a dollar sign, a backtick or a quote. In a pasted command
// the shell must expand none of them. So every command with a name in it is written by this
// package.
package shell

import "strings"

// plain contains the characters that a POSIX shell takes as they are, anywhere in a word.
const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789@%+:,./_-"

// Quote returns the word in a form that a POSIX shell reads as exactly this word: in single quotes,
// unless it needs none.
func Quote(word string) string {
	if word != "" && strings.Trim(word, plain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// Command returns the command line of these words.
func Command(words ...string) string {
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = Quote(word)
	}
	return strings.Join(quoted, " ")
}

// Scim returns the command line of kubectl scim with these words, in the namespace. If namespace is
// empty, the command works in the namespace of the caller's kubeconfig.
func Scim(namespace string, words ...string) string {
	line := append([]string{"kubectl", "scim"}, words...)
	if namespace != "" {
		line = append(line, "-n", namespace)
	}
	return Command(line...)
}
