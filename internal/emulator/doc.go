// Package emulator is a small AWS account in this process, several of them side by
// side: STS, IAM, S3, Secrets Manager, CloudWatch Logs, SNS, EventBridge and what
// else the project stands on, speaking the wire protocols that the AWS SDK speaks.
//
// It is strict, because it stands for something stricter: every signature is
// checked, every call is decided by internal/policy over the documents stored in
// the account, and what it does not model is refused with the code NotModelled,
// naming the operation and the parameter. Documented behavior that bites is on by
// default (see Settings), each with the page that documents it.
//
// What is not here: anything of this project. Accounts begin empty but for an
// administrator; roles, buckets and the rest come from templates or from tests.
// Only tests and cmd/cloudsim import the package.
package emulator
