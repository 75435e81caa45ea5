// Package facetest draws faces of people who do not exist, for tests and the
// demonstration: a head modelled from some thirty numbers, lit and turned. No
// picture of a person is in this project.
package facetest
