//go:build cgo

package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"

	"kuule/kiosk-bridge/face"
	"kuule/kiosk-bridge/face/pipeline"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "kuule-face:", err)
		os.Exit(1)
	}
}

// run answers one question.
func run() error {
	if len(os.Args) != 2 {
		return errors.New("package kiosk-bridge/face starts this program, with the folder of its models")
	}
	nets, err := load(os.Args[1])
	if err != nil {
		return err
	}
	q, err := face.ReadRequest(bufio.NewReader(os.Stdin))
	if err != nil {
		return err
	}
	a := face.Answer{V: 1, Engine: nets.version(), Looks: []face.Look{}, Scores: []int{}, Template: []int8{}}
	var people []pipeline.Person
	for _, picture := range q.Pictures {
		p, err := pipeline.Describe(nets, picture)
		if err != nil {
			return err
		}
		people = append(people, p)
		a.Looks = append(a.Looks, p.Look)
	}
	switch q.Op {
	case face.OpCompare:
		for _, p := range people[1:] {
			a.Scores = append(a.Scores, pipeline.Likeness(people[0], p))
		}
	case face.OpTemplate:
		a.Template = append(a.Template, people[0].Template()...)
	}
	return face.WriteAnswer(os.Stdout, a)
}
