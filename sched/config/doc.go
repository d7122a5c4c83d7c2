// Package config reads what a scheduler is configured by: a file of kind
// KubeSchedulerConfiguration (kubescheduler.config.k8s.io/v1) as kube-scheduler takes
// it, or the older Policy (v1) with its predicates and priorities. It fills in
// kube-scheduler's defaults, expands and merges the lists of plugins, and checks all
// that kube-scheduler checks, so that what it hands out is valid for sched.New.
//
// It opens no file: who has the text calls Read. What a file asks for and cannot have
// any effect here is told in warnings; what would make decisions other than those the
// file means is an error, with file, line, field and value.
//
// Two things differ from kube-scheduler's reading. All nodes are looked at unless
// percentageOfNodesToScore is from 1 to 99: absent, 0 and 100 all mean all of them. And
// the halves of a plugin (preFilter and filter, preScore and score, reserve and
// preBind) are one here, so taking one of them away has no effect; a warning says so.
package config
