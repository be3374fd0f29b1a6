"""RFC 6962 Merkle trees and C2SP signed notes: the log under the audit record."""
