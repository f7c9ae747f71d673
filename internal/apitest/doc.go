// Package apitest holds the API's contract as data: YAML that the API server must accept, and YAML that it must refuse
// with a stated message. The tests run it and the manifests under config/ on a real API server; package rights has the policies.
//
// A file under testdata holds objects of one kind. Above each object a comment says why it stands there, and below
// refused/ also what the refusal must say:
//
//	# reason: A tenant's name never grants a role by accident.
//	# refused: can't be granted from here
package apitest
