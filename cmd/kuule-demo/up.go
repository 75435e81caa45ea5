package main

import "context"

type upCommand struct{}

func (upCommand) Run(context.Context) error { return nil }

type fillCommand struct{}

func (fillCommand) Run(context.Context) error { return nil }

type sitCommand struct{}

func (sitCommand) Run(context.Context) error { return nil }
